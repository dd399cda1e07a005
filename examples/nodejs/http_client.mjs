// Classifies an image over HTTP.
//
// node http_client.mjs IMAGE [SERVICE]    IMAGE: a file or an http(s) URL

import { readFile, writeFile } from "node:fs/promises";

const [image, service = "http://localhost:8080"] = process.argv.slice(2);

const response = await fetch(`${service}/image-classification`, {
  method: "POST",
  // Where the worker asks for a token, add: Authorization: `Bearer ${process.env.TOKEN}`
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({
    image: /^https?:/.test(image) ? image : await readFile(image, "base64"),
    inferenceParams: { topK: 5 },
  }),
});
const { errorCode, errorMsg, result } = await response.json();
if (errorCode !== 0) {
  console.error(`${errorCode}: ${errorMsg}`);
  process.exit(1);
}
for (const { name, score } of result.categories) console.log(`${score.toFixed(5)}  ${name}`);
await writeFile("classified.jpg", result.image, "base64");
