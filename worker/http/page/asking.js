// One request to the worker, and its outcome.

import { sentence, shortened } from "./dom.js";
import { authorization, wantsToken } from "./token.js";

const WHAT_WENT_WRONG = {
  400: "The image could not be read",
  401: "The worker asks for a token",
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

/**
 * Ask for the categories of `image`: `{file}` or `{url}`.
 *
 * Returns what there is to show: `categories` and `picture` (a Blob or undefined), or a `problem`;
 * and, if the worker was asked, `request` and `response` as they can be shown, and the `whole`
 * response. Rejects with an AbortError when `signal` cancels it: the worker then drops the request.
 */
export async function ask(image, options, signal) {
  let data;
  try {
    data = image.url ?? (await asBase64(image.file));
  } catch (error) {
    return { problem: problem("The file cannot be read", `${sentence(error.message)} Choose another one.`) };
  }
  const request = { image: data, visualize: options.visualize };
  // Left empty, the model's own number: a model with thresholds answers with all that reach them.
  if (options.topK !== null) request.inferenceParams = { topK: options.topK };
  const began = performance.now();
  let response;
  let text;
  try {
    response = await fetch("image-classification", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...authorization() },
      body: JSON.stringify(request),
      signal,
    });
    text = await response.text();
    wantsToken(response.status);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const why = "Is it still running, and can this machine reach it?";
    return { problem: problem("The worker does not answer", why, true) };
  }
  const took = performance.now() - began;
  return { took, ...read(response, text), request: asShown({ ...request, image: shortened(data) }) };
}

function read(response, text) {
  const whole = new Blob([text], { type: "application/json" });
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    const said = `${response.status} ${response.statusText}`.trim();
    const why = `Something between this page and the worker said ${said}.`;
    return { problem: problem("The answer is not the worker's", why, true), response: text, whole };
  }
  if (answer.errorCode !== 0) {
    const title = WHAT_WENT_WRONG[answer.errorCode] ?? `Error ${answer.errorCode}`;
    const again = WORTH_ANOTHER_TRY.has(answer.errorCode);
    return { problem: problem(title, sentence(answer.errorMsg), again), response: asShown(answer), whole };
  }
  const { categories, image } = answer.result;
  if (image === undefined) return { categories, response: asShown(answer), whole };
  const shown = { ...answer, result: { ...answer.result, image: shortened(image) } };
  return { categories, picture: jpeg(image), response: asShown(shown), whole };
}

function jpeg(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}

function problem(title, text, again = false) {
  return { title, text, again };
}

function asShown(value) {
  return JSON.stringify(value, null, 2);
}

function asBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
