/** A draft of the shares: what was moved and not yet sent. Pure; `FOLLOW` gives a detector's own share up. */

import { percent } from "./words.js";

export const FOLLOW = "follow";

/** Nothing is moved. `seen` is the state that the first move was made on. */
export function emptyDraft() {
  return { seen: null, all: null, own: table() };
}

export function isEmpty(draft) {
  return draft.all === null && !Object.keys(draft.own).length;
}

/** The draft with the common share moved, which gives up what was moved of single detectors before. */
export function withAll(draft, share, seen) {
  return { seen: draft.seen ?? seen, all: share, own: table() };
}

/** The draft with one detector moved: to a share, or to FOLLOW. */
export function withOwn(draft, detector, share, seen) {
  return { ...draft, seen: draft.seen ?? seen, own: table([...Object.entries(draft.own), [detector, share]]) };
}

/** Whether two drafts move the same, whatever they were made on. */
export function isSame(one, other) {
  const told = ({ all, own }) => JSON.stringify([all, Object.entries(own).sort()]);
  return told(one) === told(other);
}

/** The draft without what is so already: a fader that was put back is not moved. */
export function withoutIdle(draft, rollout) {
  const all = draft.all === rollout.fraction && !Object.keys(givenUp(draft, rollout)).length ? null : draft.all;
  const own = table(Object.entries(draft.own).filter(([name, share]) =>
    share === FOLLOW ? name in rollout.overrides : share !== (all ?? askedOf(name, rollout))));
  const left = { seen: draft.seen, all, own };
  return isEmpty(left) ? emptyDraft() : left;
}

/** What a PUT of it says. All detectors means all: only one that its ramp has rolled back is not raised with them. */
export function patchOf(draft, rollout) {
  const overrides = draft.all === null ? table(Object.entries(rollout.overrides)) : heldBack(draft, rollout);
  for (const [name, share] of Object.entries(draft.own)) {
    if (share === FOLLOW) delete overrides[name];
    else overrides[name] = share;
  }
  return draft.all === null ? { overrides } : { fraction: draft.all, overrides };
}

/** The share that is asked for of a detector, as the state has it. */
export function askedOf(detector, rollout) {
  return rollout.overrides[detector] ?? rollout.fraction;
}

/** The share that each detector would have. */
export function sharesAfter(draft, rollout, detectors) {
  const patch = patchOf(draft, rollout);
  return table(detectors.map((name) => [name, patch.overrides[name] ?? patch.fraction ?? rollout.fraction]));
}

/** What would become of whom, as sentences. */
export function preview(draft, rollout, detectors) {
  const after = sharesAfter(draft, rollout, detectors);
  const told = detectors.map((name) => {
    const before = askedOf(name, rollout);
    return before === after[name] ? `${name} stays at ${percent(before)}` : `${name} ${percent(before)} → ${percent(after[name])}`;
  });
  return [...told, ...aboutHeldBack(draft, rollout), ...aboutRamps(draft, rollout, after)];
}

function aboutHeldBack(draft, rollout) {
  if (draft.all === null) return [];
  return Object.keys(heldBack(draft, rollout)).filter((name) => !(name in draft.own))
    .map((name) => `the ramp of ${name} was rolled back: only its own fader raises it again`);
}

function aboutRamps(draft, rollout, after) {
  return Object.entries(rollout.ramps)
    .filter(([name, ramp]) => ramp.phase !== "ended" && (draft.all !== null || after[name] !== askedOf(name, rollout)))
    .map(([name]) => `the ramp of ${name} pauses, and its evidence begins anew`);
}

function heldBack(draft, rollout) {
  return table(Object.entries(rollout.overrides)
    .filter(([name, share]) => draft.all > 0 && share === 0 && rollout.ramps[name]?.rolled_back));
}

function givenUp(draft, rollout) {
  const kept = heldBack(draft, rollout);
  return table(Object.entries(rollout.overrides)
    .filter(([name, share]) => !(name in kept) && share !== draft.all));
}

/** With nothing in it but what is put there, whatever a detector is called. */
function table(entries = []) {
  return Object.setPrototypeOf(Object.fromEntries(entries), null);
}
