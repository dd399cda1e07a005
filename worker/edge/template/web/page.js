// What the page shows, and where its images come from: the dialog, a drop, a paste, the samples.

const byId = (id) => document.getElementById(id);
const classifier = new Worker("classifier.js", { type: "module" });
const waiting = new Map(); // what is to be done with an answer, by its number
let numbers = 0;
let latest = 0; // Invariant: the image that is shown; answers to earlier ones are dropped.
let samples = [];
let tolerance = 0;

classifier.onmessage = ({ data }) => {
  if ("model" in data) ready(data.model);
  else if ("failed" in data) fail(`The model cannot be loaded: ${data.failed}`);
  else if ("loaded" in data) showProgress(data);
  else settle(data);
};
classifier.onerror = () => {
  fail("The page cannot compute in this browser: use a current one, and serve the page by HTTP.");
};

function ask(image) {
  return new Promise((resolve, reject) => {
    numbers += 1;
    waiting.set(numbers, { resolve, reject });
    classifier.postMessage({ id: numbers, image });
  });
}

function settle({ id, problem, ...answer }) {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (problem === undefined) resolve(answer);
  else reject(new Error(problem));
}

async function show(image) {
  latest += 1;
  const mine = latest;
  const preview = byId("preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(image);
  preview.hidden = false;
  byId("problem").hidden = true;
  byId("answer").setAttribute("aria-busy", "true");
  if (byId("progress").hidden) byId("status").textContent = "Computing …";
  try {
    const answer = await ask(image);
    if (mine === latest) showAnswer(answer);
  } catch (error) {
    if (mine === latest) complain(error.message);
  } finally {
    if (mine === latest) byId("answer").setAttribute("aria-busy", "false");
  }
}

function showAnswer({ categories, milliseconds }) {
  byId("empty").textContent = "No category is above its threshold.";
  byId("empty").hidden = categories.length > 0;
  byId("categories").hidden = categories.length === 0;
  byId("categories").replaceChildren(...categories.map(row));
  byId("time").textContent = `${Math.max(1, Math.round(milliseconds))} ms`;
  const [best] = categories;
  byId("status").textContent = best ? `${best.name}, ${percent(best.score)}` : "No category.";
}

function row({ name, score }) {
  const item = element("li");
  const line = element("span", "category");
  line.append(element("span", "name", name), element("span", "score", percent(score)));
  const track = element("div", "track");
  track.append(bar(score));
  item.append(line, track);
  return item;
}

/** A bar by an attribute: a style would need a laxer policy. */
function bar(score) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  svg.setAttribute("class", "bar");
  svg.setAttribute("aria-hidden", "true");
  rect.setAttribute("width", percent(score));
  rect.setAttribute("height", "100%");
  svg.append(rect);
  return svg;
}

const percent = (score) => `${(100 * score).toFixed(1)}%`;

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

function complain(message) {
  byId("categories").hidden = true;
  byId("time").textContent = "";
  byId("empty").hidden = true;
  byId("status").textContent = "";
  byId("problem").textContent = message;
  byId("problem").hidden = false;
}

function fail(message) {
  byId("progress").hidden = true;
  complain(message);
}

function showProgress({ loaded, total }) {
  const progress = byId("progress");
  progress.hidden = false;
  if (total) Object.assign(progress, { max: total, value: loaded });
  byId("status").textContent = `Loading the model: ${(loaded / 1e6).toFixed(1)} MB`;
}

function ready(model) {
  byId("progress").hidden = true;
  byId("status").textContent = waiting.size ? "Computing …" : "Ready";
  byId("title").textContent = model.name;
  document.title = model.name;
  const facts = {
    Classes: model.classes,
    Input: `${model.input.width} x ${model.input.height} pixels`,
    Precision: model.precision,
    "Made from": model.digest,
  };
  byId("model").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [
      element("dt", "", name),
      element("dd", "", `${value}`),
    ]),
  );
  byId("check").disabled = samples.length === 0;
}

async function loadSamples() {
  const known = await (await fetch("check.json")).json();
  tolerance = known.tolerance;
  samples = known.images;
  byId("samples").replaceChildren(
    ...samples.map(({ file, alt }) => {
      const button = element("button");
      const image = element("img");
      Object.assign(button, { type: "button", onclick: async () => show(await blobOf(file)) });
      Object.assign(image, { src: file, alt });
      button.append(image);
      return button;
    }),
  );
  byId("check").disabled = byId("model").childElementCount === 0;
}

const blobOf = async (file) => (await fetch(file)).blob();

async function checkBrowser() {
  byId("checked").textContent = "Computing …";
  let largest = 0;
  let same = true;
  for (const { file, scores, class_id: expected } of samples) {
    const answer = await ask(await blobOf(file));
    largest = Math.max(largest, ...answer.scores.map((one, id) => Math.abs(one - scores[id])));
    same &&= answer.scores.indexOf(Math.max(...answer.scores)) === expected;
  }
  byId("checked").textContent =
    same && largest <= tolerance
      ? `This browser agrees: scores differ by up to ${largest.toExponential(1)}.`
      : `This browser DISAGREES: scores differ by up to ${largest.toExponential(1)}, and ` +
        `${tolerance} is allowed.`;
}

function take(files) {
  const image = [...files].find((file) => file.type.startsWith("image/")) ?? files[0];
  if (image) show(image);
}

const drop = byId("drop");
drop.onclick = () => byId("file").click();
byId("file").onchange = ({ target }) => {
  take(target.files);
  target.value = ""; // so that the same file can be chosen again
};
byId("check").onclick = () => checkBrowser().catch((error) => complain(error.message));
document.addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});

loadSamples().catch((error) => complain(`The samples cannot be loaded: ${error.message}`));
