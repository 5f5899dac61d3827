/** Elements without markup: what comes from a file's name, a label or a person is only ever text. */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "indeterminate"]);

/** The first element that matches, in the page or under `root`. */
export function $(selector, root = document) {
  return root.querySelector(selector);
}

/**
 * An element: `el("button", {class: "big", text: "Go", "aria-label": "Go", on: {click: f}}, ...children)`.
 * An attribute that is null, undefined or false is left out; children may be nodes, texts, lists or null.
 */
export function el(tag, attributes = {}, ...children) {
  return dressed(document.createElement(tag), attributes, children);
}

/** The same for a drawing: `svg("path", {d: "…", class: "legacy"})`. */
export function svg(tag, attributes = {}, ...children) {
  return dressed(document.createElementNS(SVG, tag), attributes, children);
}

/** `children` instead of whatever `parent` held. */
export function replace(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

/** A text that is only written where it is another one: nothing moves, and no reader says it twice. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function dressed(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) dress(element, name, value);
  element.append(...nodes(children));
  return element;
}

function dress(element, name, value) {
  if (name === "style") throw new Error("a style attribute is refused by the page's policy; use a class");
  if (value === null || value === undefined) return;
  if (name === "on") {
    for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
  } else if (name === "text") element.textContent = value;
  else if (PROPERTIES.has(name)) element[name] = value;
  else if (value !== false) element.setAttribute(name, value === true ? "" : value);
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
