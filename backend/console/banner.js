/** What has to be said where nobody can overlook it: the line's state for good, and what happened for a while. */

import { forgetKey, Lost } from "./api.js";
import { $, el, replace, write } from "./dom.js";
import { on, state } from "./store.js";
import { ago, when } from "./words.js";

const QUIET_S = 8; // the backend says something every 2 s
const SHOWN_S = { info: 8, warning: 0, error: 0 }; // 0: until somebody closes it

/**
 * Says something: `{kind: "info"|"warning"|"error", text, action?: {label, run}, id?}`. One with the id of another
 * takes its place.
 */
export function say({ kind = "info", text, action = null, id = null }) {
  if (id && !action && said(id)?.firstChild.textContent === text) return; // a reader is not told twice
  if (id) takeBack(id);
  const close = () => banner.remove();
  const banner = el("div", { class: `banner ${kind}`, role: kind === "info" ? "status" : "alert", "data-id": id },
    el("p", { text }),
    action && el("button", { type: "button", text: action.label, on: { click: () => { close(); action.run(); } } }),
    el("button", { type: "button", class: "close", "aria-label": "Close this message", text: "×", on: { click: close } }));
  $("#banners").append(banner);
  if (SHOWN_S[kind]) setTimeout(close, SHOWN_S[kind] * 1000);
}

/** Takes away what was said under this id. */
export function takeBack(id) {
  said(id)?.remove();
}

function said(id) {
  return [...$("#banners").children].find((one) => one.dataset.id === id);
}

/** "The switch was not moved", and why, in the backend's own words. */
export function sayFailed(what, error, action = null) {
  say({ kind: "error", text: failure(what, error), action, id: what });
}

/** The same as a text. Where no answer came, nobody knows that it was not done. */
export function failure(what, error) {
  if (!(error instanceof Lost)) return `${what}: ${stopped(error.message)}`;
  return `${what}, as far as is known: ${stopped(error.message)} See what the page shows before you try again.`;
}

/** With a capital and a full stop, as a sentence among sentences. */
export function sentence(text) {
  const whole = stopped(text);
  return whole && whole[0].toUpperCase() + whole.slice(1);
}

function stopped(text) {
  const trimmed = String(text).trim();
  return trimmed && trimmed + (/[.!?]$/.test(trimmed) ? "" : ".");
}

/** Shows the line's state at the top, and what stands in the way: a lost line, a stale store. */
export function mountBanner() {
  on("line", showLine);
  on("rollout", showStale);
  on("me", showWho);
  setInterval(tick, 1000);
}

function showLine() {
  const dot = $("#line");
  dot.dataset.line = state.line;
  document.body.classList.toggle("is-lost", state.line === "lost");
  tick();
  const standing = $("#standing-line");
  if (state.line !== "lost") return replace(standing);
  if (standing.childElementCount) return standing; // said once: a reader is not told each second
  return replace(standing, el("div", { class: "banner error" }, el("p", {},
    el("strong", { text: "Connection lost" }),
    ` at ${when(state.lostSince / 1000)}: ${state.why || "the backend was not reached"}. Every figure below is from then. `
    + "A change made now is tried, and fails visibly if it does not arrive.")));
}

function showStale() {
  const standing = $("#standing-store");
  $("#line").dataset.store = state.rollout?.stale ? "stale" : "read";
  tick();
  if (!state.rollout?.stale) return replace(standing);
  if (standing.childElementCount) return standing;
  return replace(standing, el("div", { class: "banner warning" }, el("p", {},
    el("strong", { text: "The store of the flags cannot be read" }),
    ": the backend obeys the last state it saw. A change is refused; a roll back holds at once for this machine, and "
    + "the store is told when it is back. TRITON_ENABLED=false in .env is the switch that needs no store.")));
}

function showWho() {
  const { me } = state;
  write($("#who"), me ? [...new Set([me.name, me.role])].join(", ") : "");
  const looksOnly = me && me.role !== "admin";
  replace($("#standing-rights"), looksOnly && el("div", { class: "banner info" },
    el("p", { text: `Your key (${me.name}, ${me.role}) may look, not change.` }),
    el("button", { type: "button", text: "Enter another key", on: { click: () => { forgetKey(); location.reload(); } } })));
}

function tick() {
  write($("#line-words"), lineWords());
}

function lineWords() {
  if (state.line === "connecting") return "connecting";
  if (state.line === "lost") return `lost ${ago(state.lostSince / 1000)}, trying again`;
  if (Math.abs(Date.now() - state.heardAt) > QUIET_S * 1000) return `silent, last heard ${ago(state.heardAt / 1000)}`;
  return state.rollout?.stale ? "live, but the store is away" : "live";
}
