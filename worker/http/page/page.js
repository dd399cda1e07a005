// The page: sends what the user gives to the worker, and shows the answers.

import { listAnswers, updateAnswer } from "./answers.js";
import { Batch } from "./batch.js";
import { clearDetails, showDetails } from "./details.js";
import { $, counted, element, percent } from "./dom.js";
import { byAddress, isAddress, listen } from "./input.js";

/** The images that Classify is about while no address is given. */
let given = [];
/** What was asked for last; a new batch takes the place of one that is still under way. */
let batch = null;
/** The image whose details are shown, and whether the user wanted that one. */
let shown = null;
let picked = false;
let previewUrl = null;

// ---- What the user wants -------------------------------------------------------------------

listen(
  (images) => {
    const [{ url }] = images;
    const one = images.length === 1;
    $("url").value = one && url ? url : "";
    // A single address belongs to its field: there it can be changed.
    given = one && url ? [] : images;
    showPreview(images);
    classify(images);
  },
  (title, text) => showProblem(title, text),
);

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = $("url").value.trim();
  if (url === "" && given.length > 0) {
    classify(given);
  } else if (isAddress(url)) {
    given = [];
    showPreview([]);
    classify([byAddress(url)]);
  } else {
    showInvalid("url", ...(url === ""
      ? ["An image is needed", "Choose one, or give an address that begins with http:// or https://."]
      : ["An address is needed", "Give one that begins with http:// or https://, or choose images."]));
  }
});

$("cancel").addEventListener("click", () => batch.cancel());

for (const name of ["url", "top-k"]) {
  $(name).addEventListener("input", () => $(name).removeAttribute("aria-invalid"));
}

// ---- Asking --------------------------------------------------------------------------------

function classify(images) {
  if (!$("top-k").checkValidity()) {
    showInvalid("top-k", "The number of categories", "must be a whole number from 1 up.");
    return;
  }
  const number = $("top-k").value;
  const options = {
    topK: number === "" ? null : $("top-k").valueAsNumber,
    visualize: $("visualize").checked,
  };
  const before = batch;
  // Copies: late answers to an earlier batch must change nothing here.
  const mine = new Batch(images.map((image) => ({ ...image })), options, (image) => {
    if (mine === batch) update(image);
  });
  batch = mine;
  before?.cancel();
  shown = null;
  picked = false;
  // Only the same image's answer may stay until there is another.
  if (!isOneImage(before, images)) clearDetails();
  $("empty").hidden ||= images.length > 1;
  listAnswers(mine.images, { select: pick, retry });
  run(mine.images);
}

/** Whether `images` is the one image of an earlier batch, and nothing else. */
function isOneImage(before, images) {
  if (before === null || before.images.length > 1 || images.length > 1) return false;
  const [[old], [now]] = [before.images, images];
  return old.file === now.file && old.url === now.url;
}

function retry(image) {
  run([image]);
}

async function run(images) {
  $("url").removeAttribute("aria-invalid");
  $("problem").hidden = true;
  await batch.run(images);
}

// ---- Showing what came ---------------------------------------------------------------------

function update(image) {
  updateAnswer(image);
  showProgress();
  const single = batch.images.length === 1;
  if (image.state === "failed" && single) {
    const { title, text, again } = image.outcome.problem;
    showProblem(title, text, again ? () => retry(image) : null);
  }
  const ended = image.state === "answered" || (image.state === "failed" && single);
  if (ended && (shown === image || (!picked && comesFirst(image)))) show(image);
}

function comesFirst(image) {
  return shown === null || batch.images.indexOf(image) < batch.images.indexOf(shown);
}

function pick(image) {
  picked = true;
  show(image);
}

function show(image) {
  shown = image;
  showDetails(image, batch);
}

function showProgress() {
  const { busy } = batch;
  $("answer-panel").setAttribute("aria-busy", busy);
  $("spinner").hidden = !busy;
  // A control that is hidden would take the focus with it.
  if (!busy && document.activeElement === $("cancel")) $("send").focus();
  $("cancel").hidden = !busy;
  $("status").textContent = batch.images.length === 1 ? progressOfOne(batch.images[0]) : progressOfAll();
}

function progressOfOne({ name, state, outcome }) {
  if (state === "failed") return "";
  if (state === "cancelled") return `Cancelled: ${name} was not classified.`;
  if (state !== "answered") return `Classifying ${name} …`;
  const [best] = outcome.categories;
  const found = best === undefined ? "No label fits" : `${best.name}, ${percent(best.score)}`;
  return `${found}: ${name}, answered in ${Math.round(outcome.took)}\u00a0ms.`;
}

function progressOfAll() {
  const parts = ["answered", "failed", "cancelled"]
    .map((state) => [batch.count(state), state])
    .filter(([number, state]) => number > 0 || state === "answered")
    .map(([number, state]) => `${number} ${state}`);
  const said = `${counted(batch.images.length, "image")}: ${parts.join(", ")}`;
  return batch.busy ? `Classifying ${said} …` : `${said}.`;
}

function showPreview(images) {
  if (previewUrl !== null) URL.revokeObjectURL(previewUrl);
  previewUrl = null;
  const [first] = images;
  if (first?.file) previewUrl = URL.createObjectURL(first.file);
  $("preview").hidden = previewUrl === null;
  if (previewUrl === null) $("preview").removeAttribute("src");
  else $("preview").src = previewUrl;
  $("chosen").hidden = first === undefined;
  $("chosen").textContent = images.length > 1 ? counted(images.length, "image") : (first?.name ?? "");
}

// Not every format that the worker reads is one that the browser shows.
$("preview").addEventListener("error", () => ($("preview").hidden = true));

/** What is wrong with a field. The answers to what was asked before stay. */
function showInvalid(name, title, text) {
  showProblem(title, text, null);
  $(name).setAttribute("aria-invalid", "true");
  $(name).focus();
}

function showProblem(title, text, again = null) {
  const parts = [element("strong", { textContent: title }), text];
  if (again !== null) {
    const button = element("button", { type: "button", className: "button", textContent: "Try again" });
    button.addEventListener("click", again);
    parts.push(element("br"), button);
  }
  $("problem").replaceChildren(...parts);
  $("problem").hidden = false;
}

clearDetails();
