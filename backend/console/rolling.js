/** Rolling back: asked for until somebody answers, and watched until every live worker has confirmed it. */

import { callAgain, Lost } from "./api.js";
import { emit, on, setRollout } from "./store.js";

export const UNDO_S = 300;
const KEPT = "crossfade-rolled-back";
const LATELY_S = 30;

let present = []; // the workers that were last told of
const left = new Map(); // those that are told of no more, and since when, in ms

/**
 * What became of the last one, or null. `stage`: "asking", "done", "alone" (the store was away, and has not heard of
 * it), "failed". `pending` are live workers that have not confirmed, `gone` those that were not heard of again.
 */
export let outcome = remembered();

/** Everything to legacy. Never throws: what came of it is in `outcome`, and told as topic "outcome". */
export async function rollBack(reason) {
  show({ stage: "asking", reason, tries: 0 });
  try {
    const { data } = await callAgain("POST", "/api/rollout/rollback", { json: { reason } },
      (error, tries) => show({ stage: "asking", reason, tries, why: error.message }));
    const { pending, ...rollout } = data;
    const names = new Set(namesOf(rollout));
    const gone = heardLately().filter((name) => !names.has(name)); // stands still, or has ended
    setRollout(rollout, { mine: true });
    show({ stage: "done", reason, version: data.version, pending, gone, at: Date.now() });
  } catch (error) {
    show(failed(error, reason));
  }
}

/** Takes the news of the last one away. */
export function forgetOutcome() {
  show(null);
}

/** Whether it can still be taken back from here. */
export function isUndoable(now = Date.now()) {
  return outcome?.stage === "done" && now < outcome.at + UNDO_S * 1000;
}

function heardLately() {
  const lately = [...left].filter(([, at]) => Date.now() - at < LATELY_S * 1000);
  return [...present, ...lately.map(([name]) => name)];
}

/** The backend tells of its workers when one comes or goes: who was not told of as gone was there until now. */
function followWorkers({ rollout }) {
  const now = Date.now();
  const names = new Set(namesOf(rollout));
  for (const name of present) if (!names.has(name)) left.set(name, now);
  for (const [name, at] of left) if (names.has(name) || now - at > LATELY_S * 1000) left.delete(name);
  present = [...names];
}

function namesOf(rollout) {
  return (rollout?.workers ?? []).map((one) => one.worker);
}

function isOnLegacy(rollout) {
  return Object.values(rollout.effective).every((share) => share === 0);
}

function failed(error, reason) {
  const alone = error.document?.rolled_back_here === true; // the store could not be told
  return { stage: alone ? "alone" : "failed", reason, text: error.message, lost: error instanceof Lost, at: Date.now() };
}

function show(next) {
  outcome = next;
  if (next?.stage === "done") sessionStorage.setItem(KEPT, JSON.stringify(next));
  else sessionStorage.removeItem(KEPT);
  emit("outcome");
}

/** Over a reload of the page, which is what people do when they are not sure. */
function remembered() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    return kept && Date.now() < kept.at + UNDO_S * 1000 ? kept : null;
  } catch {
    return null;
  }
}

on("rollout", followWorkers);

/** Whether the store was told at last, who has confirmed since, and who is back: a worker that was gone obeys the newest state before it does anything. */
on("rollout", ({ rollout }) => {
  if (outcome?.stage === "alone" && rollout && !rollout.stale && isOnLegacy(rollout)) {
    const pending = rollout.workers.filter((one) => one.version < rollout.version).map((one) => one.worker);
    return show({ stage: "done", reason: outcome.reason, version: rollout.version, pending, gone: [], at: outcome.at });
  }
  if (outcome?.stage !== "done" || !rollout || rollout.version < outcome.version) return null;
  const obeyed = new Map(rollout.workers.map((one) => [one.worker, one.version]));
  const asked = [...outcome.pending, ...outcome.gone];
  const pending = asked.filter((name) => obeyed.get(name) < outcome.version);
  const gone = asked.filter((name) => !obeyed.has(name));
  if (JSON.stringify([outcome.pending, outcome.gone]) !== JSON.stringify([pending, gone])) show({ ...outcome, pending, gone });
  return null;
});
