// Code that repeats the page's request elsewhere.

/**
 * A shell command. `image` is `{name, file}`, which is to be in the current directory, or `{url}`;
 * `options` has `topK` (null: the model's own) and `visualize`. If `secured`, the environment's
 * TOKEN is sent.
 */
export function curl(address, image, options, secured = false) {
  const lines = image.url
    ? [
        `curl ${quoted(address)}`,
        "-H 'Content-Type: application/json'",
        `-d ${quoted(JSON.stringify(body(image.url, options)))}`,
      ]
    : [
        `curl ${quoted(withQuery(address, options))}`,
        `-H ${quoted(`Content-Type: ${mediaType(image.file)}`)}`,
        `--data-binary ${quoted(`@${image.name}`)}`,
      ];
  if (secured) lines.splice(1, 0, '-H "Authorization: Bearer $TOKEN"');
  return lines.join(" \\\n  ");
}

/** A Python program that needs nothing but the standard library; see `curl`. */
export function python(address, image, options, secured = false) {
  const [target, data, type] = image.url
    ? [address, `json.dumps(${literal(body(image.url, options))}).encode()`, "application/json"]
    : [withQuery(address, options), `Path(${literal(image.name)}).read_bytes()`, mediaType(image.file)];
  return [
    "import json",
    ...(secured ? ["import os"] : []),
    ...(image.url ? [] : ["from pathlib import Path"]),
    "from urllib.request import Request, urlopen",
    "",
    "request = Request(",
    `    ${literal(target)},`,
    `    data=${data},`,
    secured
      ? `    headers={"Content-Type": ${literal(type)}, "Authorization": f"Bearer {os.environ['TOKEN']}"},`
      : `    headers={"Content-Type": ${literal(type)}},`,
    ")",
    "with urlopen(request, timeout=60) as response:",
    "    answer = json.load(response)",
    'for category in answer["result"]["categories"]:',
    "    print(f\"{category['score']:.5f} {category['name']}\")",
    "",
  ].join("\n");
}

function body(image, { topK, visualize }) {
  return { image, ...(topK === null ? {} : { inferenceParams: { topK } }), visualize };
}

function withQuery(address, { topK, visualize }) {
  return `${address}?${topK === null ? "" : `topk=${topK}&`}visualize=${visualize}`;
}

function mediaType(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

/** A word for POSIX shells. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A value in Python's spelling. */
function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, one]) => `${literal(key)}: ${literal(one)}`);
  return `{${pairs.join(", ")}}`;
}
