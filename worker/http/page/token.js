// The token that a worker may ask for. It is in its field alone, and gone with the page.

import { $ } from "./dom.js";

/** Whether the user has given one. */
export function hasToken() {
  return token() !== "";
}

/** The headers of a request that show it. */
export function authorization() {
  return hasToken() ? { Authorization: `Bearer ${token()}` } : {};
}

/** Ask the user for it, if that is what the worker answered. Returns whether it did. */
export function wantsToken(status) {
  if (status !== 401) return false;
  $("token-row").hidden = false;
  return true;
}

function token() {
  // Of other signs the browser makes no header.
  return $("token").value.replaceAll(/[^\x21-\x7e]/g, "");
}
