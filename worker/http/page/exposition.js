// The text exposition of `/metrics`: its samples, and what grew between two of them.

/** Parse the text exposition: `name{labels} value` lines become [{name, labels, value}]. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null) continue;
    const labels = {};
    for (const [, key, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
    }
    samples.push({ name: match[1], labels, value: Number(match[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

/** Sum of the samples with this name and these labels. */
export function total(samples, name, labels = {}) {
  return samples
    .filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((sum, one) => sum + one.value, 0);
}

/**
 * The least bound of a histogram's buckets within which is the share `q` of what it took in between
 * two scrapes: Infinity beyond the last bound, null when it took in nothing. Where in its bucket a
 * value was, a histogram does not say; "half within 0.3 s" is true.
 */
export function bound(q, before, after, name) {
  const upTo = (samples) =>
    new Map(samples.filter((one) => one.name === `${name}_bucket`).map((one) => [one.labels.le, one.value]));
  const earlier = upTo(before);
  const buckets = [...upTo(after)]
    .map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count - (earlier.get(le) ?? 0)])
    .sort(([a], [b]) => a - b);
  const all = buckets.at(-1)?.[1] ?? 0;
  return all > 0 ? buckets.find(([, count]) => count >= q * all)[0] : null;
}
