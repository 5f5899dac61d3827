/** The API as it describes itself at /openapi.json: routes by tag, and the schemas. Asks for nothing else, and for no key. */

import { curlOf } from "./docs_curl.js";
import { fieldsOf, nameOf, typeOf } from "./docs_schema.js";
import { $, el, replace, write } from "./dom.js";

const METHODS = ["get", "put", "post", "delete"];
const SHOWN_MS = 2000; // that something was copied

async function begin() {
  try {
    const response = await fetch("/openapi.json", { credentials: "omit", cache: "no-cache" });
    if (!response.ok) throw new Error(`the backend answered ${response.status}`);
    show(await response.json());
  } catch (error) {
    replace($("#routes"), el("p", { class: "bad", role: "alert", text: `The description could not be read: ${error.message}.` }));
  }
}

function show(api) {
  write($("#title"), `${api.info.title}: the API`);
  write($("#summary"), api.info.summary ?? "");
  const routes = routesOf(api);
  const groups = api.tags.map((tag) => groupOf(tag, routes.filter((one) => one.told.tags.includes(tag.name))));
  const schemas = Object.entries(api.components.schemas).map(([name, schema]) => schemaCard(name, schema));
  replace($("#routes"), groups, section("schemas", "Schemas", "What is sent and answered, by name.", schemas));
  const filter = () => showFound(routes.length, $("#filter").value);
  $("#filter").addEventListener("input", filter);
  filter();
  open();
  window.addEventListener("hashchange", open);
}

function routesOf(api) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => method in methods).map((method) => ({ method: method.toUpperCase(), path, told: methods[method] })));
}

function groupOf(tag, routes) {
  return section(`tag-${tag.name}`, tag.name, `${tag.description}.`, routes.map(routeCard));
}

function section(id, title, about, cards) {
  return el("section", { "aria-labelledby": id }, el("h2", { id, text: title }), el("p", { class: "soft", text: about }), cards);
}

/** Shows what holds every word that is looked for, and opens it where it is alone. */
function showFound(all, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const cards = [...document.querySelectorAll("details.card")];
  for (const card of cards) card.hidden = !words.every((word) => card.dataset.words.includes(word));
  for (const group of document.querySelectorAll("main > section")) group.hidden = !group.querySelector("details.card:not([hidden])");
  const left = cards.filter((card) => !card.hidden);
  const routes = left.filter((card) => card.classList.contains("route")).length;
  write($("#found"), words.length ? `${routes} of ${all} routes, ${left.length - routes} schemas` : `${all} routes`);
  if (words.length && left.length === 1) left[0].open = true;
}

/** What the address names is opened, and found whatever is filtered. */
function open() {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!card?.matches("details")) return;
  if (card.hidden) {
    $("#filter").value = "";
    $("#filter").dispatchEvent(new Event("input"));
  }
  card.open = true;
  card.scrollIntoView();
}

// --- a route ----------------------------------------------------------------------------------------------

function routeCard(route) {
  const { method, path, told } = route;
  const role = told["x-role"];
  return el("details", { class: "card route", id: `${method} ${path}`, "data-words": wordsOf(route) },
    el("summary", {}, el("code", {}, el("b", { class: "method", text: method }), ` ${path}`),
      el("span", { class: "role", text: role === "none" ? "no key" : role }), el("span", { class: "what", text: told.summary })),
    told.description && el("p", { text: told.description }), curl(route), parametersOf(told), bodiesOf(told), answersOf(told));
}

function wordsOf({ method, path, told }) {
  const names = (told.parameters ?? []).map((one) => `${one.name} ${one.description}`);
  const statuses = Object.entries(told.responses).map(([status, one]) => `${status} ${one.description}`);
  return [method, path, told.summary, told.description ?? "", told["x-role"], ...told.tags, ...names, ...statuses].join(" ").toLowerCase();
}

function curl(route) {
  const line = el("code", { text: curlOf(route, location.origin) });
  const button = el("button", { type: "button", class: "copy", text: "Copy", on: { click: () => copy(line, button) } });
  return el("div", { class: "curl" }, el("pre", { tabindex: "0", "aria-label": "As a command" }, line), button);
}

/** Without a safe origin a page may not write to the clipboard: then the line is marked, to be copied by hand. */
async function copy(line, button) {
  const said = await (navigator.clipboard?.writeText(line.textContent) ?? Promise.reject()).then(() => "Copied", () => "Marked");
  if (said === "Marked") getSelection().selectAllChildren(line);
  write(button, said);
  setTimeout(() => write(button, "Copy"), SHOWN_MS);
}

function parametersOf({ parameters }) {
  if (!parameters?.length) return null;
  const rows = parameters.map((one) => [el("code", { text: one.name }), one.required ? `${one.in}, needed` : one.in, told(typeOf(one.schema)), one.description ?? ""]);
  return [el("h3", { text: "Parameters" }), table(["Name", "In", "Allowed", "Meaning"], rows)];
}

function bodiesOf({ requestBody }) {
  return Object.entries(requestBody?.content ?? {}).map(([kind, one]) => [
    el("h3", {}, "Body: ", el("code", { text: kind }), requestBody.required ? "" : ", may be left out"),
    shapeOf(one.schema), exampleOf(one.example)]);
}

function answersOf({ responses }) {
  return [el("h3", { text: "Answers" }), ...Object.entries(responses).map(([status, one]) => answer(status, one))];
}

function answer(status, { description, content = {} }) {
  const kinds = Object.entries(content);
  return el("div", { class: "answer" },
    el("p", {}, el("b", { class: status < 400 ? "good" : "bad", text: status }), ` ${description}`),
    kinds.map(([kind, one]) => [status < 400 && el("p", { class: "small soft" }, el("code", { text: kind }), " ", told(typeOf(one.schema))), exampleOf(one.example)]));
}

// --- shapes -------------------------------------------------------------------------------------------------

function schemaCard(name, schema) {
  return el("details", { class: "card schema", id: nameOf(name), "data-words": `${name} schema ${JSON.stringify(schema)}`.toLowerCase() },
    el("summary", {}, el("code", { text: name })), shapeOf(schema));
}

function shapeOf(schema) {
  const fields = fieldsOf(schema);
  if (!fields.length) return el("p", {}, told(typeOf(schema)));
  const rows = fields.map((one) => [el("code", { text: one.name }), told(one.type), one.needed ? "" : "may be absent"]);
  return table(["Field", "Is", ""], rows);
}

/** The parts of a type: words, and links to the schemas that it names. */
function told(parts) {
  return parts.map((part) => (part.schema ? el("a", { href: `#${nameOf(part.schema)}`, text: part.schema }) : part.words));
}

function exampleOf(example) {
  if (example === undefined || example === "…") return null;
  const text = typeof example === "string" ? example : JSON.stringify(example, null, 1);
  return el("pre", { class: "example", tabindex: "0", "aria-label": "Example" }, el("code", { text }));
}

function table(heads, rows) {
  return el("div", { class: "frame" }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((text) => el("th", { scope: "col", text })))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

begin();
