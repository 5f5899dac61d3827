/** The figures that a change was decided by, whatever they are: tables become lists, lists of tables become tables. */

import { el } from "./dom.js";
import { UNKNOWN, duration, figures, milliseconds, percent, when } from "./words.js";

const SHARES = new Set(["rate", "low", "high", "bound", "share", "fraction"]);
const MAX_ROWS = 30;

/** A value as an element, however deep it is. */
export function figuresOf(value) {
  if (Array.isArray(value)) return listOf(value);
  if (value !== null && typeof value === "object") return pairsOf(value);
  return el("span", { text: told("", value) });
}

function pairsOf(table) {
  const pairs = Object.entries(table).filter(([, value]) => !isNothing(value));
  return el("dl", { class: "facts" }, pairs.flatMap(([name, value]) => [
    el("dt", { text: named(name) }),
    el("dd", {}, isDeep(value) ? figuresOf(value) : told(name, value)),
  ]));
}

function listOf(values) {
  if (!values.every((value) => value !== null && typeof value === "object" && !Array.isArray(value))) {
    return el("span", { text: values.slice(0, MAX_ROWS).map((value) => told("", value)).join(", ") });
  }
  const names = [...new Set(values.flatMap(Object.keys))];
  const heads = names.map((name) => el("th", { scope: "col", text: named(name) }));
  const rows = values.slice(-MAX_ROWS).map((value) => el("tr", {}, names.map((name) => el("td", { text: told(name, value[name]) }))));
  return el("div", { class: "facts-frame" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
}

function told(name, value) {
  if (value === null || value === undefined || value === "") return UNKNOWN;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (SHARES.has(name)) return percent(value);
  if (name === "at" || name.endsWith("_at")) return value > 1e9 ? when(value) : figures(value);
  if (name === "eta_s") return duration(value);
  return name.endsWith("_s") ? milliseconds(value) : figures(value);
}

function named(name) {
  const plain = name.replace(/_(s|ms|bytes)$/, "").replaceAll("_", " ");
  return plain ? plain[0].toUpperCase() + plain.slice(1) : name;
}

function isDeep(value) {
  return value !== null && typeof value === "object";
}

function isNothing(value) {
  return value === null || value === "" || (isDeep(value) && !Object.keys(value).length);
}
