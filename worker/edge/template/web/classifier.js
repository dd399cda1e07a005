// Loads the model and classifies, in a worker of its own, so that the page never stands still.
//
// It is sent { id, image } with a Blob and answers { id, categories, scores, milliseconds } or
// { id, problem }. Before that it sends { loaded, total } in bytes, and then { model } or { failed }.

import { prepare } from "./transform.js";
import { categoriesOf, scoresOf } from "./categories.js";
import { InferenceSession, Tensor, env } from "./onnxruntime.js";

const MOST_PIXELS = 100_000_000;

env.logLevel = "error";
// More threads need headers that few servers send (COOP, COEP).
env.wasm.numThreads = 1;
env.wasm.wasmPaths = { wasm: new URL("onnxruntime.wasm", import.meta.url).href };

const loading = load();
loading.then(
  ({ model }) => postMessage({ model }),
  (error) => postMessage({ failed: `${error.message ?? error}` }),
);

onmessage = async ({ data: { id, image } }) => {
  try {
    const { model, session } = await loading;
    postMessage({ id, ...(await classify(image, model, session)) });
  } catch (error) {
    postMessage({ id, problem: `${error.message ?? error}` });
  }
};

async function load() {
  const model = await (await get("model.json")).json();
  const session = await InferenceSession.create(await bytesOf(await get("model.onnx")), {
    executionProviders: ["wasm"],
    logSeverityLevel: 3, // errors
  });
  return { model, session };
}

async function get(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} cannot be loaded (${response.status}).`);
  return response;
}

/** A response's bytes, with the progress told. */
async function bytesOf(response) {
  const total = Number(response.headers.get("content-length")) || null;
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    loaded += value.length;
    postMessage({ loaded, total });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function classify(image, model, session) {
  const { data, width, height } = await decode(image);
  const began = performance.now();
  const planes = prepare(data, width, height, model);
  const input = new Tensor("float32", planes, [1, 3, model.input.height, model.input.width]);
  const outputs = await session.run({ [session.inputNames[0]]: input });
  const scores = scoresOf(outputs[session.outputNames[0]].data, model);
  const milliseconds = performance.now() - began;
  return { categories: categoriesOf(scores, model), scores, milliseconds };
}

/** Pixels as they are in the file, upright: without its colour profile, which the model ignores. */
async function decode(image) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(image, {
      colorSpaceConversion: "none",
      imageOrientation: "from-image",
    });
  } catch {
    throw new Error("This is no image that your browser can read: take a JPEG, PNG or WebP.");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new Error(`The image has ${width} x ${height} pixels: take a smaller one.`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
