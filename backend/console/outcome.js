/** What a roll back came to, beside its button: who has confirmed it, who has not, and the way to take it back. */

import { call } from "./api.js";
import { sayFailed, sentence, takeBack } from "./banner.js";
import { change } from "./change.js";
import { askReason, bullets } from "./dialog.js";
import { el, replace, write } from "./dom.js";
import { forgetOutcome, isUndoable, outcome, rollBack, UNDO_S } from "./rolling.js";
import { isAdmin, on, state } from "./store.js";
import { countdown, differences, listed, some, when } from "./words.js";

const NOT_UNDONE = "The roll back was not undone";
const RESTORED = ["fraction", "shadow", "overrides", "pins_suspended"]; // all that a roll back changes, ramps aside

/** The region that says it. */
export function mountOutcome(root) {
  const words = el("p", { class: "outcome-words", role: "status", "aria-live": "assertive" });
  const left = el("span", { class: "left", "aria-hidden": "true" });
  const undo = el("button", { type: "button", class: "undo", on: { click: undoIt } }, el("span", { text: "Undo" }), left);
  undo.setAttribute("aria-label", "Undo");
  const again = el("button", { type: "button", text: "Try again", on: { click: () => rollBack(outcome.reason) } });
  const close = el("button", { type: "button", class: "close", text: "×", "aria-label": "Close this message",
    on: { click: forgetOutcome } });
  const box = el("div", { class: "outcome", hidden: true }, words, undo, again, close);
  replace(root, box);

  const show = () => {
    box.hidden = outcome === null;
    if (!outcome) return write(words, "");
    box.dataset.stage = outcome.stage === "done" && outcome.pending.length + outcome.gone.length ? "pending" : outcome.stage;
    write(words, WORDS[outcome.stage]());
    undo.hidden = !isUndoable() || !isAdmin();
    again.hidden = !["failed", "alone"].includes(outcome.stage);
    close.hidden = outcome.stage === "asking";
    return tick();
  };
  const tick = () => {
    if (!outcome || undo.hidden) return;
    if (!isUndoable()) undo.hidden = true;
    write(left, countdown(UNDO_S - (Date.now() - outcome.at) / 1000));
  };
  setInterval(tick, 1000);
  on("outcome rollout me", show);
}

const WORDS = {
  asking: () => (outcome.tries ? `Rolling back: ${outcome.why}, trying again…` : "Rolling back…"),
  done: doneWords,
  alone: aloneWords,
  failed: () => (outcome.lost
    ? `Not rolled back, as far as is known: ${outcome.text}. TRITON_ENABLED=false in the backend's .env needs no connection.`
    : `Not rolled back. ${sentence(outcome.text)}`),
};

/** Until the store is back; what is so then may be another thing. */
function aloneWords() {
  const at = when(outcome.at / 1000);
  if (!state.rollout || state.rollout.stale || !hasShare(state.rollout)) return `Rolled back here at ${at}, but the store could not be told. ${sentence(outcome.text)}`;
  return `Rolled back here at ${at}, when the store could not be told. It is back, and Triton has a share.`;
}

function hasShare(rollout) {
  return Object.values(rollout.effective).some((share) => share > 0);
}

function doneWords() {
  const { rollout } = state;
  if (rollout && rollout.version > outcome.version && hasShare(rollout)) {
    return `Rolled back at ${when(outcome.at / 1000)}; somebody has given Triton a share again since.`;
  }
  const { pending, gone } = outcome;
  const there = rollout ? rollout.workers.length : 0;
  const confirmed = `${Math.max(0, there - pending.length)} of ${there + gone.length} workers`; // who is gone is not forgotten
  const lost = gone.length
    ? ` ${some(gone)} ${gone.length > 1 ? "are" : "is"} not heard of any more; a worker that cannot see the flags starts nothing on Triton.` : "";
  if (pending.length) return `Everything is on legacy, not confirmed by: ${some(pending)} (${confirmed} have).${lost}`;
  return `Everything is on legacy: acknowledged by ${confirmed}.${lost}`;
}

async function undoIt() {
  try {
    const rolled = await theRollback();
    const restored = differences(rolled.after, only(rolled.before, rolled.after));
    const ended = Object.keys(rolled.after.ramps ?? {}).filter((name) => rolled.before.ramps[name]?.phase !== rolled.after.ramps[name].phase);
    const reason = await askReason({
      title: "Undo the roll back?",
      body: [
        restored.length ? bullets(restored) : "Nothing was on Triton before, so nothing is restored.",
        ended.length > 0 && el("p", { class: "soft", text: `The ramp of ${listed(ended)} stays ended; it can be started again.` }),
      ],
      confirm: "Restore", reason: "undo of the roll back",
    });
    if (reason === null) return;
    const patch = Object.fromEntries(RESTORED.map((name) => [name, rolled.before[name]]));
    const answer = await change({
      patchOf: () => patch, reason, wanted: (now) => differences(now, { ...now, ...patch }),
      seen: { etag: `"v${rolled.version}"`, rollout: rolled.after },
    });
    takeBack(NOT_UNDONE);
    if (answer === "done") forgetOutcome();
  } catch (error) {
    sayFailed(NOT_UNDONE, error, { label: "Try again", run: undoIt });
  }
}

async function theRollback() {
  const { data } = await call("GET", "/api/rollout/history", { params: { limit: 50 } });
  const found = data.changes.find((one) => one.version === outcome.version);
  if (!found?.before) throw new Error("the history does not hold it any more");
  return found;
}

/** The state after, with what an undo brings back. */
function only(before, after) {
  return { ...after, ...Object.fromEntries(RESTORED.map((name) => [name, before[name]])) };
}
