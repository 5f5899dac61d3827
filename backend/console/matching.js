/**
 * Which boxes of the two sides are of one thing, and what is said about it. Pure, and simpler than what the backend
 * decides by (ai/core/matching.py): greedy, the most alike first. The page says so where it shows the result.
 */

/** Boxes of one thing share at least so much of what they cover together. */
const SAME_IOU = 0.5;
/** Boxes of one class that share less than this are of two things. */
const MISPLACED_IOU = 0.1;

/** What a kind of difference means, in words. */
export const KINDS = Object.freeze({
  missed: "Triton misses it",
  extra: "only Triton sees it",
  swapped: "another class",
  misplaced: "another place",
  duplicate: "marked twice",
  borderline: "near its threshold",
  same: "both see it",
});

/**
 * @typedef {{x: number, y: number, width: number, height: number, score: number, label: string}} Box
 * @typedef {{kind: string, legacy: ?Box, triton: ?Box}} Thing
 */

/** How much two boxes share of what they cover together, 0 to 1. */
export function iou(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const shared = Math.max(0, width) * Math.max(0, height);
  const covered = a.width * a.height + b.width * b.height - shared;
  return covered > 0 ? shared / covered : 0;
}

/**
 * Pairs the boxes of both sides: one class at one place first, then another class there, then the same class beside it.
 * @param {Box[]} legacy
 * @param {Box[]} triton
 * @returns {Thing[]} what differs first
 */
export function things(legacy, triton) {
  const rest = { legacy: [...legacy], triton: [...triton] };
  const same = paired(rest, "same", SAME_IOU, (a, b) => a.label === b.label);
  const swapped = paired(rest, "swapped", SAME_IOU, (a, b) => a.label !== b.label);
  const misplaced = paired(rest, "misplaced", MISPLACED_IOU, (a, b) => a.label === b.label);
  const alone = [
    ...rest.legacy.map((one) => ({ kind: lone(one, same, "missed"), legacy: one, triton: null })),
    ...rest.triton.map((one) => ({ kind: lone(one, same, "extra"), legacy: null, triton: one })),
  ];
  return [...alone, ...swapped, ...misplaced, ...same];
}

/** "car 0.93 at the top left (120, 40; 60 × 30)", or that there is nothing. */
export function described(box, width, height) {
  if (!box) return "nothing there";
  const [left, top, wide, high] = [box.x, box.y, box.width, box.height].map(Math.round);
  return `${box.label} ${box.score.toFixed(2)} ${place(box, width, height)} (${left}, ${top}; ${wide} × ${high})`;
}

/** Whether both sides see the same, in one sentence. */
export function agreement(found) {
  const same = found.filter((one) => one.kind === "same").length;
  const differing = found.length - same;
  if (!found.length) return "Both sides looked and see nothing.";
  if (!differing) return `Both sides see the same ${same === 1 ? "object" : `${same} objects`}.`;
  const both = same ? `${same} of ${found.length} objects are the same on both sides` : "No object is the same on both sides";
  return `${both}; ${differing === 1 ? "one differs" : `${differing} differ`}: ${sentence(found)}.`;
}

function sentence(found) {
  const said = found.filter((one) => one.kind !== "same").map(difference);
  const shown = said.slice(0, 3);
  return said.length > shown.length ? `${shown.join(", ")} and ${said.length - shown.length} more` : shown.join(", ");
}

function difference({ kind, legacy, triton }) {
  if (kind === "swapped") return `legacy's ${legacy.label} is Triton's ${triton.label}`;
  if (kind === "misplaced") return `a ${legacy.label} stands in another place`;
  if (kind === "duplicate") return `${legacy ? "legacy" : "Triton"} marks a ${(legacy ?? triton).label} twice`;
  return legacy ? `only legacy sees a ${legacy.label}` : `only Triton sees a ${triton.label}`;
}

/** Takes out of `rest` the pairs that may be and share the most. */
function paired(rest, kind, least, may) {
  const pairs = rest.legacy.flatMap((a) => rest.triton.filter((b) => may(a, b)).map((b) => ({ a, b, shared: iou(a, b) })));
  const found = [];
  for (const { a, b, shared } of pairs.sort((one, two) => two.shared - one.shared)) {
    if (shared < least || !rest.legacy.includes(a) || !rest.triton.includes(b)) continue;
    rest.legacy.splice(rest.legacy.indexOf(a), 1);
    rest.triton.splice(rest.triton.indexOf(b), 1);
    found.push({ kind, legacy: a, triton: b });
  }
  return found;
}

function lone(box, same, otherwise) {
  const again = same.some((one) => one.legacy.label === box.label && Math.max(iou(one.legacy, box), iou(one.triton, box)) >= SAME_IOU);
  return again ? "duplicate" : otherwise;
}

function place(box, width, height) {
  const third = (at, size) => Math.min(2, Math.max(0, Math.floor((3 * at) / size)));
  const row = ["top", "", "bottom"][third(box.y + box.height / 2, height)];
  const column = ["left", "", "right"][third(box.x + box.width / 2, width)];
  if (row && column) return `at the ${row} ${column}`;
  return row || column ? `at the ${row || column}` : "in the middle";
}
