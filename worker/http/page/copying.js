// The clipboard.

import { element } from "./dom.js";

/** Copy a text. Returns whether the browser allowed it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** Over plain http, under another name than localhost, browsers have no `navigator.clipboard`. */
function copyBySelection(text) {
  const focused = document.activeElement;
  const field = element("textarea", { value: text, readOnly: true, className: "hidden" });
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    focused?.focus();
  }
}
