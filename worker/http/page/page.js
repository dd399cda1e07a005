// Takes an image (dropped, pasted, chosen, or by its address), asks the worker, shows the answer.

const $ = (id) => document.getElementById(id);

const WHAT_WENT_WRONG = {
  400: "The image could not be read",
  403: "The worker does not allow this",
  404: "There is nothing at this address",
  408: "The upload was too slow",
  413: "The image is too large",
  415: "This is not an image that the worker can read",
  422: "The request cannot be answered",
  424: "The address refuses the worker",
  500: "The worker could not classify this image",
  502: "The address cannot be reached",
  503: "The worker takes no request now",
  504: "It took too long",
};
const WORTH_ANOTHER_TRY = new Set([408, 424, 500, 502, 503, 504]);
const SHOWN_OF_AN_IMAGE = 60;

/** The request under way: a new one takes its place, and the worker then drops the old one. */
let current = null;
let downloadUrl = null;

// ---- What the user gives -------------------------------------------------------------------

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = $("url").value.trim();
  if (!/^https?:\/\//i.test(url)) {
    $("url").setAttribute("aria-invalid", "true");
    showProblem("An address is needed", "Give one that begins with http:// or https://, or choose a file.");
    $("url").focus();
    return;
  }
  classify(url, url);
});

$("url").addEventListener("input", () => $("url").removeAttribute("aria-invalid"));

$("file").addEventListener("change", () => {
  takeFiles($("file").files);
  // The same file again is a change too.
  $("file").value = "";
});

document.addEventListener("paste", (event) => {
  const data = event.clipboardData;
  if (data.files.length > 0) {
    event.preventDefault();
    takeFiles(data.files);
  } else if (!event.target.matches("input")) {
    takeText(data.getData("text/plain"));
  }
});

// The whole page takes drops: a file that misses the box would otherwise replace the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const data = event.dataTransfer;
  if (data.files.length > 0) takeFiles(data.files);
  else takeText(data.getData("text/uri-list") || data.getData("text/plain"));
});

async function takeFiles(files) {
  const [file] = files;
  if (file === undefined) return;
  const more = files.length > 1 ? `, the first of ${files.length} files` : "";
  try {
    await classify(await asBase64(file), `${file.name || "the pasted image"}${more}`, file);
  } catch (error) {
    showProblem("The file cannot be read", `${error.message}. Choose another one.`);
  }
}

function takeText(text) {
  const url = text.split(/\r?\n/).find((line) => line !== "" && !line.startsWith("#")) ?? "";
  if (!/^https?:\/\//i.test(url)) {
    showProblem("That is no image", "Drop or paste an image file, or the address of one.");
    return;
  }
  $("url").value = url;
  classify(url, url);
}

function asBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

// ---- Asking the worker ---------------------------------------------------------------------

async function classify(image, name, file = null) {
  if (!$("top-k").checkValidity()) {
    showProblem("The number of categories", "must be a whole number from 1 up.");
    $("top-k").focus();
    return;
  }
  current?.abort();
  const mine = (current = new AbortController());
  const request = { image, visualize: $("visualize").checked };
  // Left empty, the model's own number: a model with thresholds answers with all that reach them.
  if ($("top-k").value !== "") request.inferenceParams = { topK: $("top-k").valueAsNumber };
  const again = () => classify(image, name, file);
  startWaiting(name);
  try {
    const began = performance.now();
    const response = await fetch("image-classification", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(request),
      signal: mine.signal,
    });
    const text = await response.text();
    const took = performance.now() - began;
    if (mine === current) showAnswer({ request, response, text, took, name, file, again });
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblem("The worker does not answer", "Is it still running, and can this machine reach it?", again);
  } finally {
    if (mine === current) $("answer-panel").setAttribute("aria-busy", "false");
  }
}

function startWaiting(name) {
  $("problem").hidden = true;
  $("url").removeAttribute("aria-invalid");
  $("status").textContent = `Classifying ${name} …`;
  $("answer-panel").setAttribute("aria-busy", "true");
}

// ---- Showing what came ---------------------------------------------------------------------

function showAnswer({ request, response, text, took, name, file, again }) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    showProblem(
      "The answer is not the worker's",
      `Something between this page and the worker said ${response.status} ${response.statusText}.`,
      again,
    );
    return;
  }
  showRaw(request, answer, text);
  if (answer.errorCode !== 0) {
    const title = WHAT_WENT_WRONG[answer.errorCode] ?? `Error ${answer.errorCode}`;
    showProblem(title, sentence(answer.errorMsg), WORTH_ANOTHER_TRY.has(answer.errorCode) ? again : null);
    return;
  }
  const { categories, image } = answer.result;
  showCategories(categories);
  showPicture(image, file, categories[0]);
  $("empty").hidden = true;
  $("result").hidden = false;
  const [best] = categories;
  const found = best === undefined ? "No label fits" : `${best.name}, ${percent(best.score)}`;
  $("status").textContent = `${found}: ${name}, answered in ${Math.round(took)}\u00a0ms.`;
}

function showCategories(categories) {
  $("categories").replaceChildren(
    ...categories.map(({ id, name, score }) => {
      const fill = element("i", {});
      // Set by script, since the page's policy allows no style in the markup.
      fill.style.width = `${100 * score}%`;
      const bar = element("span", { className: "bar" }, fill);
      bar.setAttribute("aria-hidden", "true");
      const label = element("span", { className: "name", textContent: name });
      label.append(element("span", { className: "class", textContent: `class ${id}` }));
      return element("li", {}, label, element("span", { className: "score", textContent: percent(score) }), bar);
    }),
  );
}

function showPicture(image, file, best) {
  const picture = $("picture");
  if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
  if (image) picture.src = `data:image/jpeg;base64,${image}`;
  else if (file) picture.src = URL.createObjectURL(file);
  picture.alt = image && best !== undefined
    ? `Your image with the label ${best.name}, score ${best.score.toFixed(2)}, in its corner`
    : "Your image";
  $("figure").hidden = !image && !file;
  // Not every format that the worker reads is one that the browser shows.
  picture.onerror = () => ($("figure").hidden = true);
}

function showRaw(request, answer, text) {
  $("request").textContent = JSON.stringify({ ...request, image: shortened(request.image) }, null, 2);
  const shown = answer.result?.image
    ? { ...answer, result: { ...answer.result, image: shortened(answer.result.image) } }
    : answer;
  $("response").textContent = JSON.stringify(shown, null, 2);
  if (downloadUrl !== null) URL.revokeObjectURL(downloadUrl);
  downloadUrl = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  $("download").href = downloadUrl;
  $("raw").hidden = false;
}

function showProblem(title, text, again = null) {
  $("status").textContent = "";
  // An earlier image's categories would pass for this one's.
  $("result").hidden = true;
  $("empty").hidden = false;
  const parts = [element("strong", { textContent: title }), text];
  if (again !== null) {
    const button = element("button", { type: "button", className: "button", textContent: "Try again" });
    button.addEventListener("click", again);
    parts.push(element("br", {}), button);
  }
  $("problem").replaceChildren(...parts);
  $("problem").hidden = false;
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function percent(score) {
  return `${(100 * score).toFixed(1)}\u00a0%`;
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

function shortened(image) {
  if (image.length <= 2 * SHOWN_OF_AN_IMAGE || /^https?:/i.test(image)) return image;
  return `${image.slice(0, SHOWN_OF_AN_IMAGE)}… (${image.length.toLocaleString("en")} characters)`;
}
