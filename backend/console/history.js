/** Who changed what, when and why: a table, newest first, that follows the rollout as it moves. */

import { call, picture } from "./api.js";
import { sayFailed } from "./banner.js";
import { el, replace, write } from "./dom.js";
import { figuresOf } from "./figures.js";
import { on, state } from "./store.js";
import { NAMES, differences, percent, when } from "./words.js";

const PATH = "/api/rollout/history";
const PAGE = 10;
const MOST = 1000; // the backend lists no more; the export holds all
const SAVE = "Save all as JSON Lines";
const EXPORT_S = 600; // thousands of changes, each with two whole states
const REVOKE_S = 60; // a browser may still be writing the file

/** Shows the history in `root`, as long as the page lives. */
export function mount(root) {
  const view = { limit: PAGE, version: null, changes: [], turn: 0, failed: "" };
  const list = table();
  const status = el("p", { class: "soft small", role: "status" });
  const more = el("button", { type: "button", text: "Show more", hidden: true, on: { click: () => { view.limit += 2 * PAGE; load(); } } });
  const save = el("button", { type: "button", text: SAVE, on: { click: () => exported(save) } });
  replace(root, el("div", { class: "history-frame" }, list), status, el("div", { class: "history-actions" }, more, save));

  async function load() {
    const turn = ++view.turn;
    try {
      const { data } = await call("GET", PATH, { params: { limit: Math.min(MOST, view.limit + 1) } });
      if (turn !== view.turn) return;
      Object.assign(view, { changes: data.changes, failed: "" });
    } catch (error) {
      if (turn !== view.turn) return;
      view.failed = error.message;
      view.version = null; // tried again with the next thing that is heard
    }
    show();
  }

  function show() {
    const known = new Map([...list.tBodies].map((rows) => [rows.dataset.version, rows]));
    const changes = view.changes.slice(0, view.limit);
    replace(list, list.caption, list.tHead, ...changes.map((change) => known.get(String(change.version)) ?? rows(change)));
    more.hidden = view.changes.length <= view.limit || view.limit >= MOST;
    status.classList.toggle("bad", Boolean(view.failed));
    write(status, view.failed ? `The history could not be read: ${view.failed}.` : changes.length ? "" : "Nothing was changed yet.");
  }

  on("rollout line", () => {
    const version = state.rollout?.version;
    if (version === undefined || version === view.version || state.line === "lost") return;
    view.version = version;
    load();
  });
}

function table() {
  const heads = ["When", "Who", "What", "Why"].map((text) => el("th", { scope: "col", text }));
  return el("table", { class: "history" }, el("caption", { class: "unseen", text: "History" }), el("thead", {}, el("tr", {}, ...heads)));
}

/** A change, and below it the figures once they are asked for: both of one version. */
function rows(change) {
  const at = new Date(change.at * 1000);
  const time = el("time", { datetime: at.toISOString(), title: `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`, text: when(change.at) });
  const place = el("tr", { class: "history-figures", hidden: true });
  return el("tbody", { "data-version": change.version }, el("tr", {},
    el("td", { class: "history-when" }, time, el("span", { class: "soft small", text: `version ${change.version}` })),
    el("td", { class: "history-who", text: change.who }),
    el("td", { class: "history-what" }, ...what(change)),
    el("td", { class: "history-why" }, el("p", { text: change.reason || "–" }), figures(change, place))), place);
}

function what({ before, after }) {
  const told = before ? [...differences(before, after), ...anew(before, after)] : firstOf(after);
  const pins = pinsOf(before?.pins ?? {}, after.pins ?? {});
  return [
    el("ul", {}, ...(told.length ? told : ["nothing new"]).map((text) => el("li", { text }))),
    pins.length ? el("details", {}, el("summary", { text: "Which pins" }), el("ul", {}, ...pins.map((text) => el("li", { text })))) : null,
  ];
}

function firstOf(state) {
  return ["the first state", `all detectors ${percent(state.fraction)}`, `compared ${percent(state.shadow)}`, state.enabled ? "Triton switched on" : "Triton switched off"];
}

/** A ramp that stands where it stood, and counts from nothing again. */
function anew(before, after) {
  const ramps = Object.entries(after.ramps ?? {}).map(([name, ramp]) => [name, before?.ramps?.[name], ramp]);
  const same = ramps.filter(([, was, is]) => was?.id === is.id && was.phase === is.phase && was.step === is.step && was.tries !== is.tries);
  return same.map(([name]) => `evidence of ${name}'s ramp begun anew`);
}

function pinsOf(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const told = (side) => NAMES[side] ?? "not pinned";
  return names.filter((name) => before[name] !== after[name]).map((name) => `${name}: ${told(before[name])} → ${told(after[name])}`);
}

/** Made when they are asked for: a ramp's step may have hundreds. */
function figures(change, place) {
  if (!change.figures) return null;
  const button = el("button", { type: "button", class: "plain", "aria-expanded": "false", text: "Figures" });
  button.addEventListener("click", () => {
    if (!place.childElementCount) place.append(el("td", { colspan: 4 }, figuresOf(change.figures)));
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
  });
  return button;
}

/** The file comes with the key, as a blob: a plain link would carry none. */
async function exported(button) {
  button.disabled = true;
  write(button, "Saving…");
  try {
    const url = await picture(`${PATH}?format=jsonl`, EXPORT_S);
    const link = el("a", { href: url, download: "rollout-history.jsonl" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), REVOKE_S * 1000);
  } catch (error) {
    sayFailed("The history was not saved", error);
  } finally {
    write(button, SAVE);
    button.disabled = false;
    button.focus();
  }
}
