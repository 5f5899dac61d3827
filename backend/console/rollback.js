/** The way back: one button that is always there, and the switch that keeps everybody off Triton. */

import { sayFailed, takeBack } from "./banner.js";
import { change, seenNow } from "./change.js";
import { askReason, bullets } from "./dialog.js";
import { $, el, replace, write } from "./dom.js";
import { mountOutcome } from "./outcome.js";
import { outcome, rollBack } from "./rolling.js";
import { isAdmin, on, state } from "./store.js";
import { counted, duration, listed, percent, some, UNKNOWN } from "./words.js";

const NOT_MOVED = "The switch was not moved";
const SKEW_S = 30; // between two clocks, from which on it misleads

const KILLED = "The kill switch TRITON_ENABLED=false stands before it, in the backend's environment or .env: nothing "
  + "touches Triton until that is lifted there.";

/** The switch's panel, and the button at the page's edge. */
export function mount(root) {
  mountButton();
  const box = el("input", { type: "checkbox", role: "switch", id: "triton-allowed", "aria-describedby": "switch-words",
    on: { change: () => flip(box) } });
  const words = el("p", { id: "switch-words", class: "small soft switch-words" });
  const facts = el("dl", { class: "standing", "data-live": true });
  replace(root, el("label", { class: "switch", for: "triton-allowed" }, box, el("span", { class: "knob", "aria-hidden": "true" }),
    el("span", { text: "Triton allowed" })), words, facts);
  on("rollout me traffic", () => {
    const { rollout } = state;
    if (box.dataset.busy === undefined) box.checked = Boolean(rollout?.enabled);
    box.disabled = !isAdmin() || !rollout || rollout.kill_switch;
    write(words, switchWords(rollout));
    words.classList.toggle("warn", Boolean(rollout?.kill_switch));
    showFacts(facts, factsOf(rollout));
  });
}

/** Only where they are new: what somebody marks to copy stays marked. */
function showFacts(list, facts) {
  if (list.dataset.stamp === JSON.stringify(facts)) return;
  list.dataset.stamp = JSON.stringify(facts);
  replace(list, facts.map(([name, value, kind]) => [el("dt", { text: name }), el("dd", { class: kind ?? "", text: value })]));
}

function mountButton() {
  const news = el("div", { class: "news" });
  const button = el("button", { type: "button", class: "danger roll-back", text: "Roll back", on: { click: askAndRollBack } });
  replace($("#steer"), news, button);
  mountOutcome(news);
  on("me outcome", () => {
    $("#steer").hidden = !state.me;
    button.disabled = !isAdmin();
    button.setAttribute("aria-disabled", outcome?.stage === "asking"); // the keyboard stays on it
  });
}

async function askAndRollBack() {
  if (outcome?.stage === "asking") return;
  const reason = await askReason({
    title: "Roll back everything to legacy?",
    body: [bullets(consequences(state.rollout))],
    confirm: "Roll back now", kind: "danger", unread: true,
  });
  if (reason !== null) await rollBack(reason);
}

function consequences(rollout) {
  const ending = Object.entries(rollout?.ramps ?? {}).filter(([, ramp]) => ramp.phase !== "ended").map(([name]) => name);
  const now = Object.entries(rollout?.effective ?? {}).map(([name, share]) => `${name} ${percent(share)}`);
  return [
    `Every request goes to legacy, of every detector${now.length ? ` (now on Triton: ${listed(now)})` : ""}.`,
    ...(ending.length ? [`The ramp of ${listed(ending)} ends.`] : []),
    "It can be undone for five minutes.",
  ];
}

async function flip(box) {
  const enabled = box.checked;
  box.checked = !enabled; // what the backend says is shown, and nothing else
  if (box.dataset.busy !== undefined) return;
  const seen = seenNow();
  const reason = await whyFlip(enabled, seen.rollout);
  if (reason === null) return;
  box.dataset.busy = "";
  try {
    await change({ patchOf: () => ({ enabled }), reason, seen, wanted: () => [enabled ? "Triton switched on" : "Triton switched off"] });
    takeBack(NOT_MOVED);
  } catch (error) {
    sayFailed(NOT_MOVED, error, { label: "Try again", run: () => { box.checked = enabled; flip(box); } });
  } finally {
    delete box.dataset.busy;
    box.checked = Boolean(state.rollout?.enabled);
  }
}

/** Off needs no question; on does where requests would follow. */
async function whyFlip(enabled, rollout) {
  if (!enabled) return "switched off in the console";
  const others = Object.keys(rollout.overrides).length ? "every other detector" : "every detector";
  const given = [...Object.entries(rollout.overrides), [others, rollout.fraction]].filter(([, share]) => share > 0);
  if (!given.length) return "switched on in the console";
  return askReason({
    title: "Allow Triton again?",
    body: [el("p", { text: "It gets its share at once:" }), bullets(given.map(([name, share]) => `${name} ${percent(share)}`))],
    confirm: "Allow", reason: "switched on in the console",
  });
}

function switchWords(rollout) {
  if (!rollout) return "";
  if (rollout.kill_switch) return KILLED;
  return rollout.enabled ? "The shares hold. Off: nothing touches Triton, no probe and no comparison either."
    : "Off: nothing touches Triton, whatever share it has.";
}

function factsOf(rollout) {
  if (!rollout) return [["Version", UNKNOWN], ["Workers", UNKNOWN], ["Compared", UNKNOWN]];
  const late = rollout.workers.filter((one) => one.version < rollout.version).map((one) => one.worker);
  const pins = Object.keys(rollout.pins).length;
  return [
    ["Version", String(rollout.version)],
    ["Workers", workersWords(rollout.workers.length, late), late.length ? "warn" : ""],
    ["Compared", `${percent(rollout.shadow)} of the requests`],
    ...clockFacts(),
    ...(pins ? [["Pins", `${counted(pins, "camera")}${rollout.pins_suspended ? ", those to Triton suspended by a roll back" : ""}`]] : []),
  ];
}

/** The times on this page are told by the backend. */
function clockFacts() {
  const { aheadS } = state;
  if (Math.abs(aheadS) < SKEW_S) return [];
  return [["Clock", `the backend's is ${duration(Math.abs(aheadS))} ${aheadS > 0 ? "ahead of" : "behind"} this machine's`, "warn"]];
}

function workersWords(all, late) {
  if (!all) return UNKNOWN;
  if (!late.length) return `${all} of ${all} obey this version`;
  return `${all - late.length} of ${all} obey this version; not yet: ${some(late)}`;
}
