// Several images: a few requests at a time, each with its own outcome.

import { ask } from "./asking.js";

const AT_A_TIME = 4; // requests under way: enough to fill batches, and others get their turn

/**
 * Asks for images with the same options. Each image gets a `state` ("waiting", "running",
 * "answered", "failed" or "cancelled") and, once it is "answered" or "failed", its `outcome`.
 */
export class Batch {
  #abort = new AbortController();
  #onChange;

  /** `onChange(image)` is called whenever the state of an image has changed. */
  constructor(images, options, onChange) {
    this.images = images;
    this.options = options;
    this.#onChange = onChange;
  }

  /** How many images are in this state. */
  count(state) {
    return this.images.filter((image) => image.state === state).length;
  }

  /** Whether an image is still waited for. */
  get busy() {
    return this.count("waiting") + this.count("running") > 0;
  }

  /** Ask for `images` until each has ended: by an answer, a failure or `cancel`. */
  async run(images = this.images) {
    if (this.#abort.signal.aborted) this.#abort = new AbortController();
    const { signal } = this.#abort;
    for (const image of images) this.#become(image, "waiting");
    const queue = images.values();
    const takeTurns = async () => {
      for (const image of queue) await this.#ask(image, signal);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, takeTurns));
  }

  /** Withdraw what is under way, and ask for no more. */
  cancel() {
    this.#abort.abort();
  }

  async #ask(image, signal) {
    if (signal.aborted) return this.#become(image, "cancelled");
    this.#become(image, "running");
    try {
      image.outcome = await ask(image, this.options, signal);
      this.#become(image, image.outcome.problem === undefined ? "answered" : "failed");
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      this.#become(image, "cancelled");
    }
  }

  #become(image, state) {
    image.state = state;
    this.#onChange(image);
  }
}
