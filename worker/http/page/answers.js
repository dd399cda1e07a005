// The list of answers for several images: a row for each, in their order.

import { $, element, percent } from "./dom.js";

const SHOWN_CATEGORIES = 3;
const WORDS = {
  waiting: "Waiting",
  running: "Classifying …",
  cancelled: "Cancelled",
};

/** Rows by image. */
let rows = new Map();
let previews = [];
let actions;

/** Begin a list; one image alone needs none. `actions` are `select(image)` and `retry(image)`. */
export function listAnswers(images, { select, retry }) {
  for (const url of previews) URL.revokeObjectURL(url);
  previews = [];
  actions = { select, retry };
  rows = new Map(images.length > 1 ? images.map((image) => [image, row(image)]) : []);
  $("answers").replaceChildren(...rows.values());
  $("answers").hidden = rows.size === 0;
}

/** Show the state that an image has now. */
export function updateAnswer(image) {
  const item = rows.get(image);
  if (item === undefined) return;
  item.dataset.state = image.state;
  const button = item.querySelector(".answer");
  button.disabled = image.outcome === undefined;
  item.querySelector(".says").replaceChildren(...says(image));
  item.querySelector(".again")?.remove();
  if (image.state === "failed" && image.outcome.problem.again) item.append(again(image));
  const picture = image.outcome?.picture;
  if (picture && !image.file) showPreview(button.querySelector("img"), picture);
}

/** Mark the row whose details are shown. */
export function markShown(shown) {
  for (const [image, item] of rows) {
    item.querySelector(".answer").setAttribute("aria-pressed", image === shown);
  }
}

function row(image) {
  const preview = element("img", { alt: "", loading: "lazy", decoding: "async", hidden: true });
  preview.addEventListener("error", () => (preview.hidden = true));
  if (image.file) showPreview(preview, image.file);
  const frame = element("span", { className: "thumb" }, preview);
  const name = element("span", { className: "file", textContent: image.name });
  const text = element("span", { className: "about" }, name, element("span", { className: "says" }));
  const button = element("button", { type: "button", className: "answer", disabled: true }, frame, text);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => actions.select(image));
  return element("li", {}, button);
}

function showPreview(preview, blob) {
  previews.push((preview.src = URL.createObjectURL(blob)));
  preview.hidden = false;
}

function says({ state, outcome }) {
  if (state in WORDS) return [WORDS[state]];
  if (state === "failed") {
    const { title, text } = outcome.problem;
    return [element("strong", { textContent: title }), ` ${text}`];
  }
  const [best, ...others] = outcome.categories.slice(0, SHOWN_CATEGORIES).map(
    ({ name, score }) => `${name} ${percent(score)}`,
  );
  if (best === undefined) return ["No label fits"];
  return [element("strong", { textContent: best }), ...others.map((other) => `, ${other}`)];
}

function again(image) {
  const button = element("button", { type: "button", className: "button again", textContent: "Try again" });
  button.setAttribute("aria-label", `Try ${image.name} again`);
  button.addEventListener("click", () => actions.retry(image));
  return button;
}
