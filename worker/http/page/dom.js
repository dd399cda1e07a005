// What all scripts of the pages share: elements, and values as text.

const SHOWN_OF_AN_IMAGE = 60; // characters of its Base64

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** Make an element. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function percent(score) {
  return `${(100 * score).toFixed(1)}\u00a0%`;
}

/** The text as a sentence: with a capital letter and a full stop. */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** An image as it can be shown in JSON: an address whole, Base64 by its beginning. */
export function shortened(image) {
  if (image.length <= 2 * SHOWN_OF_AN_IMAGE || /^https?:/i.test(image)) return image;
  return `${image.slice(0, SHOWN_OF_AN_IMAGE)}… (${image.length.toLocaleString("en")} characters)`;
}

/** `1 image`, `3 images`. */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
