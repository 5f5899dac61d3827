/** A change of the flags: of what was seen and of nothing else. Somebody else's change in between is shown, not undone. */

import { callAgain } from "./api.js";
import { askAboutConflict } from "./conflict.js";
import { rollBack } from "./rolling.js";
import { setRollout, state } from "./store.js";

const PATH = "/api/rollout";
const LOST_UPDATE = 412;

/** What is on the page now, to hold a later change against. */
export function seenNow() {
  return { etag: state.etag, rollout: state.rollout };
}

/**
 * Puts `patchOf(rollout)` on what was `seen`. Answers "done", "theirs" (a lost update that was let be) or
 * "rolled back"; throws Problem and Lost. `title` says in a word what is being done, for the dialog of a lost update.
 */
export async function change({ patchOf, reason, seen = seenNow(), wanted }) {
  for (let basis = seen; ; basis = await current()) {
    const patch = patchOf(basis.rollout);
    let wasLost = false;
    try {
      const options = { json: { ...patch, reason }, headers: { "If-Match": basis.etag } };
      const { data } = await callAgain("PUT", PATH, options, () => { wasLost = true; });
      setRollout(data, { mine: true });
      return "done";
    } catch (error) {
      if (error.status !== LOST_UPDATE) throw error;
    }
    const now = await current();
    if (wasLost && holds(patch, now.rollout)) return "done"; // by the try that nobody answered
    const answer = await askAboutConflict({ since: basis.rollout, wanted: wanted(now.rollout) });
    if (answer === "roll back") {
      await rollBack(reason);
      return "rolled back";
    }
    if (answer !== "mine") return "theirs";
  }
}

async function current() {
  const { data, headers } = await callAgain("GET", PATH);
  setRollout(data, { mine: true });
  return { etag: headers.get("ETag"), rollout: data };
}

function holds(patch, rollout) {
  return Object.entries(patch).every(([name, value]) => sorted(value) === sorted(rollout[name]));
}

function sorted(value) {
  return JSON.stringify(value !== null && typeof value === "object" ? Object.entries(value).sort() : value);
}
