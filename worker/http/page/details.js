// The details of one image: its categories, its picture, the JSON, and code for the same request.

import { markShown } from "./answers.js";
import { curl, python } from "./code.js";
import { copy } from "./copying.js";
import { $, element, percent } from "./dom.js";
import { hasToken } from "./token.js";

const SHOWN_CATEGORIES = 20; // before "show all": a model may have thousands

let pictureUrl = null;
let downloadUrl = null;
/** The response whose JSON can be copied. */
let whole = null;

/** Show what came of an image, asked for in `batch`. */
export function showDetails(image, batch) {
  clearDetails();
  markShown(image);
  const { outcome } = image;
  $("shown").hidden = batch.images.length === 1;
  $("shown").textContent = image.name;
  if (outcome.categories !== undefined) {
    showCategories(outcome.categories);
    showPicture(outcome.picture ?? image.file, outcome.picture && outcome.categories[0]);
    $("result").hidden = false;
  }
  $("empty").hidden = outcome.categories !== undefined || batch.images.length > 1;
  if (outcome.request !== undefined) showCode(image, batch.options);
}

/** Show nothing. */
export function clearDetails() {
  for (const id of ["result", "shown", "copies", "raw"]) $(id).hidden = true;
  $("empty").hidden = false;
  $("copied").textContent = "";
  for (const url of [pictureUrl, downloadUrl]) if (url !== null) URL.revokeObjectURL(url);
  pictureUrl = downloadUrl = whole = null;
}

// ---- Categories ----------------------------------------------------------------------------

function showCategories(categories) {
  const more = categories.length > SHOWN_CATEGORIES;
  $("categories").replaceChildren(...categories.slice(0, SHOWN_CATEGORIES).map(item));
  $("show-all").hidden = !more;
  $("show-all").textContent = `Show all ${categories.length.toLocaleString("en")} categories`;
  $("show-all").onclick = () => {
    const rest = categories.slice(SHOWN_CATEGORIES).map(item);
    $("categories").append(...rest);
    $("show-all").hidden = true;
    // Where reading goes on: the button had the focus.
    rest[0].tabIndex = -1;
    rest[0].focus();
  };
}

function item({ id, name, score }) {
  const fill = element("i");
  // Set by script, since the page's policy allows no style in the markup.
  fill.style.width = `${100 * score}%`;
  const bar = element("span", { className: "bar" }, fill);
  bar.setAttribute("aria-hidden", "true");
  const label = element("span", { className: "name", textContent: name });
  label.append(element("span", { className: "class", textContent: `class ${id}` }));
  return element("li", {}, label, element("span", { className: "score", textContent: percent(score) }), bar);
}

// ---- Picture -------------------------------------------------------------------------------

function showPicture(blob, labelled) {
  $("figure").hidden = !blob;
  if (!blob) return;
  pictureUrl = URL.createObjectURL(blob);
  $("picture").src = pictureUrl;
  $("picture").alt = labelled
    ? `Your image with the label ${labelled.name}, score ${labelled.score.toFixed(2)}, in its corner`
    : "Your image";
}

// Not every format that the worker reads is one that the browser shows.
$("picture").addEventListener("error", () => ($("figure").hidden = true));

// ---- JSON and code -------------------------------------------------------------------------

function showCode(image, options) {
  const { outcome } = image;
  const address = new URL("image-classification", document.baseURI).href;
  $("request").textContent = outcome.request;
  $("response").textContent = outcome.response;
  $("curl").textContent = curl(address, image, options, hasToken());
  $("python").textContent = python(address, image, options, hasToken());
  whole = outcome.whole;
  downloadUrl = URL.createObjectURL(whole);
  $("download").href = downloadUrl;
  for (const id of ["copies", "raw"]) $(id).hidden = false;
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const kind = button.dataset.copies;
    const text = kind === "json" ? await whole.text() : $(kind).textContent;
    $("copied").textContent = (await copy(text)) ? `${button.textContent} copied` : "The browser does not allow it";
  });
}
