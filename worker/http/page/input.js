// What the user gives: files, photographs, images dropped or pasted, samples, or addresses.

import { $ } from "./dom.js";

const ADDRESS = /^https?:\/\//i;

/**
 * Listen to everything but the form. `onImages(images)` gets what was given, each `{name, file}` or
 * `{name, url}`; `onProblem(title, text)` is told why it was nothing.
 */
export function listen(onImages, onProblem) {
  for (const [button, input] of [["drop", "file"], ["take-photo", "camera"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", () => {
      takeFiles($(input).files);
      // The same file again is a change too.
      $(input).value = "";
    });
  }

  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", () => takeSample(button.dataset.sample));
  }

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

  function takeFiles(files) {
    if (files.length === 0) return;
    onImages([...files].map((file) => ({ name: file.name || "the pasted image", file })));
  }

  function takeText(text) {
    const urls = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => ADDRESS.test(line));
    if (urls.length > 0) onImages(urls.map(byAddress));
    else onProblem("That is no image", "Drop or paste image files, or the addresses of images.");
  }

  async function takeSample(path) {
    try {
      const response = await fetch(path);
      const name = path.split("/").at(-1);
      takeFiles([new File([await response.blob()], name, { type: "image/jpeg" })]);
    } catch {
      onProblem("The sample cannot be read", "The worker does not answer. Is it still running?");
    }
  }
}

/** The image at an address. */
export function byAddress(url) {
  return { name: url, url };
}

/** Whether a text is an address that the worker can fetch from. */
export function isAddress(text) {
  return ADDRESS.test(text);
}
