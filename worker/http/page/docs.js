// The API's documentation, made of `openapi.json`, so that it says what the document says.

import { copy } from "./copying.js";
import { $, element } from "./dom.js";
import { definitions, describe, linkTo, prose, resolved } from "./schemas.js";
import { authorization, wantsToken } from "./token.js";

const JSON_TYPE = "application/json";
/** How a body of a type is sent with curl. */
const SENDING = {
  "multipart/form-data": () => "-F file=@cat.jpg",
  "image/*": () => "-H 'Content-Type: image/jpeg' \\\n  --data-binary @cat.jpg",
  "application/octet-stream": () => "-H 'Content-Type: application/octet-stream' \\\n  --data-binary @cat.jpg",
  [JSON_TYPE]: (example) => `-H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(example)}'`,
};

// Enter in the token's field would load the page anew, without it.
$("token-row").addEventListener("submit", (event) => event.preventDefault());

let described = null;
/** The line of a command that sends a token, if this worker asks for one. */
let token = "";
try {
  const response = await fetch("openapi.json");
  if (response.headers.has("WWW-Authenticate")) token = ' \\\n  -H "Authorization: Bearer $TOKEN"';
  described = await response.json();
} catch {
  $("problem").textContent = "The worker does not answer. Is it still running?";
  $("problem").hidden = false;
}
if (described !== null) show(described);

function show(api) {
  const { info, tags, paths, components } = api;
  $("title").textContent = `${info.title}: API`;
  $("version").textContent = `version ${info.version}`;
  $("about").textContent = info.description;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
  $("contents").append(
    element("ul", {}, ...operations.map(({ operationId, method, path, summary }) =>
      element("li", {}, element("a", { href: `#${operationId}`, textContent: `${method} ${path}` }), ` ${summary}`),
    )),
  );
  for (const { name, description } of tags) {
    const shown = operations.filter((operation) => operation.tags.includes(name));
    const title = name.charAt(0).toUpperCase() + name.slice(1);
    $("operations").append(
      element("section", {}, element("h2", { textContent: title }), prose("p", description),
        ...shown.map((operation) => article(api, operation))),
    );
  }
  for (const [name, schema] of Object.entries(components.schemas)) {
    const title = element("h3", {}, element("code", { textContent: name }));
    $("schemas").append(
      element("section", { className: "panel", id: `schema-${name}` }, title, ...describe(api, schema)),
    );
  }
  $("schemas").hidden = false;
  // Only now is there the element that the address's fragment names.
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function article(api, operation) {
  const { operationId, method, path, summary, description, parameters, requestBody, responses } = operation;
  const title = element("h3", {}, element("span", { className: "method", textContent: method }),
    element("code", { textContent: path }));
  const parts = [title, element("p", {}, element("strong", { textContent: summary }))];
  if (description !== undefined) parts.push(prose("p", description));
  if (parameters !== undefined) {
    parts.push(element("h4", { textContent: "Query" }), definitions(api, parameters));
  }
  if (requestBody !== undefined) {
    parts.push(element("h4", { textContent: "Body" }));
    for (const [type, content] of Object.entries(requestBody.content)) {
      parts.push(...body(api, operation, type, content));
    }
  } else {
    parts.push(code(curl(operation), `${method} ${path} with curl`));
  }
  parts.push(element("h4", { textContent: "Responses" }));
  for (const [status, response] of Object.entries(responses)) {
    parts.push(...answer(api, operation, status, resolved(api, response)));
  }
  parts.push(element("h4", { textContent: "Try it" }), trial(operation));
  return element("article", { className: "panel", id: operationId }, ...parts);
}

/** The beginning of a command. Operations that never need a token have no `security`. */
function curl({ path, security }) {
  return `curl ${addressOf(path)}${security === undefined ? "" : token}`;
}

function body(api, operation, type, { schema, examples = {} }) {
  const title = element("h5", {}, element("code", { textContent: type }), " ", ...linkTo(schema));
  const { description } = resolved(api, schema);
  const said = description === undefined ? [] : [prose("p", description)];
  const shown = Object.values(examples).length > 0 ? Object.values(examples) : [{ summary: `As ${type}` }];
  const commands = shown.map(({ summary, value }) =>
    code(`${curl(operation)} \\\n  ${SENDING[type](value)}`, `${summary}, with curl`),
  );
  return [title, ...said, ...commands];
}

function answer(api, { path }, status, { description, content = {}, headers = {} }) {
  const links = Object.values(content).flatMap(({ schema }) => linkTo(schema));
  const parts = [element("h5", {}, element("code", { textContent: status }), " ", ...links), prose("p", description)];
  const entries = Object.entries(headers).map(([name, header]) => ({ name, ...header }));
  if (entries.length > 0) parts.push(definitions(api, entries));
  for (const { example } of Object.values(content)) {
    if (example !== undefined) parts.push(code(JSON.stringify(example, null, 2), `Example of ${status} from ${path}`));
  }
  return parts;
}

/** A field for the body, if there is one, and a button that sends the request. */
function trial({ operationId, method, path, requestBody }) {
  const button = element("button", { type: "button", className: "button", textContent: "Send" });
  button.setAttribute("aria-label", `Send ${method} ${path}`);
  const got = element("pre", { tabIndex: 0, hidden: true, role: "region" });
  got.setAttribute("aria-label", `Response of ${path}`);
  const status = element("p", { role: "status" });
  const parts = [button, status, got];
  let field;
  if (requestBody !== undefined) {
    const examples = Object.values(requestBody.content[JSON_TYPE].examples);
    field = element("textarea", { value: JSON.stringify(examples.at(-1).value, null, 2), spellcheck: false });
    field.id = `${operationId}-body`;
    parts.unshift(element("label", { htmlFor: field.id, className: "caption", textContent: JSON_TYPE }), field);
  }
  button.addEventListener("click", async () => {
    status.textContent = "Asking …";
    try {
      const sent = field && { method, headers: { "Content-Type": JSON_TYPE }, body: field.value };
      const response = await fetch(path.slice(1), { ...sent, headers: { ...sent?.headers, ...authorization() } });
      wantsToken(response.status);
      const text = await response.text();
      status.textContent = `${response.status} ${response.statusText}`;
      got.textContent = text;
      got.hidden = false;
    } catch {
      status.textContent = "The worker does not answer.";
      got.hidden = true;
    }
  });
  return element("div", { className: "try" }, ...parts);
}

/** A text that can be copied. */
function code(text, label) {
  const shown = element("pre", { textContent: text, tabIndex: 0, role: "region" });
  shown.setAttribute("aria-label", label);
  const button = element("button", { type: "button", className: "button", textContent: "Copy" });
  button.setAttribute("aria-label", `Copy: ${label}`);
  button.addEventListener("click", async () => {
    $("copied").textContent = "";
    const copied = await copy(text);
    button.textContent = copied ? "Copied" : "Not allowed";
    $("copied").textContent = copied ? `Copied: ${label}` : "The browser does not allow it";
  });
  return element("div", { className: "code" }, shown, button);
}

function addressOf(path) {
  return new URL(path.slice(1), document.baseURI).href;
}
