// JSON Schemas as lists of fields, in words.

import { element } from "./dom.js";

/** A text in which `words` between backticks are code. */
export function prose(name, text) {
  const parts = text.split("`").map((part, index) => (index % 2 ? element("code", { textContent: part }) : part));
  return element(name, {}, ...parts);
}

/** The part of `api` that `node` refers to, and `node` itself if it refers to nothing. */
export function resolved(api, node) {
  if (node?.$ref === undefined) return node;
  const target = node.$ref.slice(2).split("/").reduce((at, part) => at[part], api);
  return { ...target, ...node, $ref: undefined };
}

/** Everything that a schema says, as elements. */
export function describe(api, schema) {
  const { description, properties, items } = resolved(api, schema);
  const parts = [];
  if (description !== undefined) parts.push(prose("p", description));
  if (properties !== undefined) parts.push(fields(api, schema));
  if (items !== undefined && items.$ref === undefined) parts.push(...describe(api, items));
  return parts;
}

/** The type of a schema, with its limits. */
export function typeOf(api, schema) {
  const { type, format, const: only, minimum, maximum, minLength, maxLength, items } = resolved(api, schema);
  const parts = [];
  if (only !== undefined) parts.push(`always ${JSON.stringify(only)}`);
  else if (items !== undefined) parts.push(`array of ${nameOf(items) ?? typeOf(api, items)}`);
  else if (type !== undefined) parts.push([type].flat().join(" or ") + (format === undefined ? "" : ` (${format})`));
  if (minimum !== undefined && maximum !== undefined) parts.push(`from ${minimum} to ${maximum}`);
  else if (minimum !== undefined) parts.push(`from ${minimum}`);
  if (minLength > 1) parts.push(`at least ${minLength} characters`);
  if (maxLength !== undefined) parts.push(`at most ${maxLength} characters`);
  return parts.join(", ");
}

/** A link to the schema that `node` refers to, or nothing. */
export function linkTo(node) {
  const name = nameOf(node) ?? nameOf(node?.items);
  return name === undefined ? [] : [element("a", { href: `#schema-${name}`, textContent: name })];
}

/** A list of names, each with its type and what it says. */
export function definitions(api, entries) {
  const list = element("dl", { className: "fields" });
  for (const { name, schema, description, required } of entries) {
    const type = element("span", { className: "type", textContent: typeOf(api, schema) });
    if (required) type.prepend("required, ");
    const term = element("dt", {}, element("code", { textContent: name }), type);
    const text = description ?? resolved(api, schema).description;
    const said = text === undefined ? [] : [prose("div", text)];
    const { properties } = resolved(api, schema);
    if (properties !== undefined) said.push(fields(api, schema));
    list.append(element("div", {}, term, element("dd", {}, ...said)));
  }
  return list;
}

function fields(api, schema) {
  const { properties, required = [] } = resolved(api, schema);
  const entries = Object.entries(properties)
    // `false` says that there is no such field.
    .filter(([, one]) => one !== false)
    .map(([name, one]) => ({ name, schema: one, required: required.includes(name) }));
  return definitions(api, entries);
}

function nameOf(node) {
  return /^#\/components\/schemas\/(.*)$/.exec(node?.$ref ?? "")?.[1];
}
