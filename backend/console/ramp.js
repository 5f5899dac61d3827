/** The ramps: for each detector its steps as a ladder, what it waits for, and an admin's orders. */

import { call } from "./api.js";
import { sayFailed, takeBack } from "./banner.js";
import { askReason } from "./dialog.js";
import { el, replace, write } from "./dom.js";
import { evidenceOf } from "./evidence.js";
import { askStart } from "./ramp_start.js";
import { backendNow, isAdmin, isOf, on, setRollout, state } from "./store.js";
import { ago, percent } from "./words.js";

const PATH = "/api/rollout/ramp";
const AGES_MS = 5000; // how long ago a look was is told anew, whether anything is heard or not
const ORDERS = {
  pause: ["Pause", "Nothing is promoted meanwhile; evidence still counts, and still rolls back."],
  resume: ["Resume", "A share that was changed by hand is that of the step again, and its evidence begins anew then."],
  approve: ["Approve", "The next step that waits for it, and no further one."],
  abort: ["Abort", "The ramp ends, and Triton's share stays as it is; Roll back is what takes it away."],
};

/** The panel: one card for each detector. */
export function mount(root) {
  let cards = new Map();
  const show = () => cards.forEach((one, name) => one.show(state.rollout.ramps[name] ?? null, state.looks[name] ?? null));
  setInterval(show, AGES_MS);
  on("rollout me look", () => {
    const { me, rollout } = state;
    if (!me || !rollout) return;
    if (String([...cards.keys()]) !== String(me.detectors)) {
      cards = new Map(me.detectors.map((name) => [name, card(name)]));
      replace(root, el("div", { class: "cards" }, [...cards.values()].map((one) => one.element)));
    }
    show();
  });
}

function card(name) {
  const where = el("span", { class: "chip" });
  const sentence = el("p", { class: "verdict", "data-live": true });
  const ladder = el("ol", { class: "ladder", "aria-label": `Steps of ${name}` });
  const orders = el("div", { class: "actions", role: "group", "aria-label": `Orders for the ramp of ${name}` });
  const since = el("p", { class: "small soft" });
  const evidence = evidenceOf(name);
  const element = el("article", { class: "card", "aria-label": `Ramp of ${name}` },
    el("p", { class: "name" }, el("strong", { text: name }), where), sentence, ladder, orders, since, evidence.element);
  let shown = "";
  const show = (ramp, look) => {
    const of = ramp && look && isOf(look, ramp) ? look : null;
    write(where, whereWords(ramp));
    where.dataset.phase = phaseOf(ramp);
    write(sentence, sentenceOf(ramp, of));
    const stamp = JSON.stringify([ramp && { ...ramp, look: null }, isAdmin()]);
    if (stamp !== shown) {
      shown = stamp; // the keyboard stays on a button while only figures change
      replace(ladder, ramp ? ramp.steps.map((step, index) => rung(ramp, step, index)) : null);
      ladder.hidden = !ramp;
      replace(orders, ordersFor(name, ramp));
    }
    write(since, ramp ? sinceWords(ramp, of) : "");
    evidence.show(ramp, of);
  };
  return { element, show };
}

function phaseOf(ramp) {
  if (!ramp) return "none";
  return ramp.paused && ramp.phase !== "ended" ? "paused" : ramp.phase;
}

/** "step 2 of 5 (25 %), dry run, paused". */
function whereWords(ramp) {
  if (!ramp) return "no ramp";
  const words = [ramp.phase === "running" ? `step ${ramp.step + 1} of ${ramp.steps.length} (${percent(ramp.fraction)})` : ramp.phase];
  if (ramp.dry_run) words.push("dry run");
  if (ramp.paused && ramp.phase !== "ended") words.push("paused");
  return words.join(", ");
}

/** One sentence: why it ended, why it is paused, or what the last look said. */
function sentenceOf(ramp, look) {
  if (!ramp) return "Triton's share moves by hand only.";
  if (ramp.ended) return ramp.ended;
  if (ramp.paused) return ramp.paused.startsWith("by ") ? `paused ${ramp.paused}` : `paused: ${ramp.paused}`;
  return look ? look.words : "not looked at yet";
}

function sinceWords(ramp, look) {
  const words = [`Triton: ${percent(ramp.asked)} asked for, ${percent(ramp.effective)} in effect`];
  if (look) words.push(`looked at ${ago(look.at, backendNow())}`);
  if (ramp.forced) words.push(`forced: ${ramp.forced}`);
  return words.join(" · ");
}

function rung(ramp, step, index) {
  const [name, words] = standing(ramp, step, index);
  return el("li", { class: name, "aria-current": name === "is-now" ? "step" : null },
    el("strong", { text: percent(step) }), el("span", { class: "small", text: words }));
}

function standing(ramp, step, index) {
  if (index < ramp.step || (ramp.phase === "watching" && index === ramp.step)) return ["is-done", "done"];
  if (index === ramp.step) return ramp.phase === "ended" ? ["is-stopped", "ended here"] : ["is-now", ramp.paused ? "paused" : "now"];
  const asks = gateOf(ramp, index);
  return asks ? ["is-gated", "asks first"] : ["is-ahead", ""];
}

/** Whether somebody has to approve before this step, which was not yet. */
function gateOf(ramp, index) {
  const passed = Math.max(ramp.approved, ramp.fraction, index ? ramp.steps[index - 1] : 0);
  return ramp.gates.some((gate) => gate > passed && gate <= ramp.steps[index]);
}

function ordersFor(name, ramp) {
  const isOn = ramp && ramp.phase !== "ended";
  const names = isOn ? [ramp.paused ? "resume" : "pause", ...(waitsForApproval(ramp) ? ["approve"] : []), "abort"] : ["start"];
  return names.map((order) => el("button", {
    type: "button", disabled: !isAdmin(), class: order === "approve" ? "primary" : "",
    text: order === "start" ? "Start a ramp…" : `${ORDERS[order][0]}…`,
    "aria-label": order === "start" ? `Start a ramp of ${name}` : `${ORDERS[order][0]} the ramp of ${name}`,
    on: { click: () => give(name, order) },
  }));
}

function waitsForApproval(ramp) {
  return ramp.gates.some((gate) => gate > Math.max(ramp.approved, ramp.fraction) && gate <= ramp.steps.at(-1));
}

async function give(name, order) {
  const wishes = order === "start" ? await askStart(name) : await wishesOf(name, order);
  if (wishes) await send({ action: order, detector: name, ...wishes });
}

async function wishesOf(name, order) {
  const [verb, meaning] = ORDERS[order];
  const reason = await askReason({
    title: `${verb} the ramp of ${name}?`, body: [el("p", { text: meaning })],
    confirm: `${verb} it`, kind: order === "abort" ? "danger" : "primary",
  });
  return reason === null ? null : { reason };
}

/** What is refused keeps its words, and can be sent again as it was. */
async function send(asked) {
  try {
    await call("POST", PATH, { json: asked });
  } catch (error) {
    const again = asked.action === "start"
      ? { label: "Change it", run: async () => { const wishes = await askStart(asked.detector, asked); if (wishes) await send({ ...asked, ...wishes }); } }
      : { label: "Try again", run: () => send(asked) };
    return sayFailed(`The ramp of ${asked.detector} was not told to ${asked.action}`, error, again);
  }
  takeBack(`The ramp of ${asked.detector} was not told to ${asked.action}`);
  const now = await call("GET", "/api/rollout").catch(() => null); // it is done all the same, and the line tells of it
  return now && setRollout(now.data, { mine: true });
}
