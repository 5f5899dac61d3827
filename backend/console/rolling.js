/** Rolling back: asked for until somebody answers, and watched until every live worker has confirmed it. */

import { call, Lost } from "./api.js";
import { emit, on, setRollout } from "./store.js";

export const UNDO_S = 300;
const TIMEOUT_S = 6; // a worker answers within three, confirmed or not
const TRIES = 3; // the next try is a new connection, and may meet a worker that is well
const PAUSE_MS = 400;
const KEPT = "crossfade-rolled-back";

/**
 * What became of the last one, or null. `stage`: "asking", "done", "alone" (the store was away, and has not heard of
 * it), "failed". `pending` are live workers that have not confirmed, `gone` those that were not heard of again.
 */
export let outcome = remembered();

/** Everything to legacy. Never throws: what came of it is in `outcome`, and told as topic "outcome". */
export async function rollBack(reason) {
  show({ stage: "asking", reason, tries: 0 });
  for (let tries = 1; ; tries += 1) {
    try {
      const { data } = await call("POST", "/api/rollout/rollback", { json: { reason }, timeoutS: TIMEOUT_S });
      const { pending, ...rollout } = data;
      show({ stage: "done", reason, version: data.version, pending, gone: [], at: Date.now() });
      setRollout(rollout, { mine: true });
      return;
    } catch (error) {
      if (!(error instanceof Lost) || tries === TRIES) return show(failed(error, reason));
      show({ stage: "asking", reason, tries, why: error.message });
      await new Promise((done) => { setTimeout(done, PAUSE_MS); });
    }
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

function failed(error, reason) {
  const alone = error.status === 503; // obeyed here and by this machine's journal; see the backend's own words
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

on("rollout", ({ rollout }) => {
  if (outcome?.stage !== "done" || !rollout || rollout.version < outcome.version) return;
  const obeyed = new Map(rollout.workers.map((one) => [one.worker, one.version]));
  const waiting = outcome.pending.filter((name) => !obeyed.has(name) || obeyed.get(name) < outcome.version);
  const [pending, gone] = [waiting.filter((name) => obeyed.has(name)), waiting.filter((name) => !obeyed.has(name))];
  const before = [outcome.pending, outcome.gone].join("|");
  if (before !== [pending, [...outcome.gone, ...gone]].join("|")) {
    show({ ...outcome, pending, gone: [...outcome.gone, ...gone] });
  }
});
