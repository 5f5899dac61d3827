/**
 * What cumulative counters say about a moment: rates, percentiles, what was counted since. Pure; no page, no clock.
 *
 * A snapshot is what the event `traffic` brings. Nothing is read across a break: a silence that is too long for
 * snapshots to have come regularly, or a counter that fell, which means that the backend began anew.
 */

/** Of a rate or a percentile: from so long before a moment, seconds. */
export const WINDOW_S = 20;
/** Snapshots come every 2 s; a longer silence than this is a gap, seconds. */
const GAP_S = 7;
/** What the plots reach back, seconds. */
export const KEPT_S = 300;

export const SIDES = ["legacy", "triton"];

const NOTHING = Object.freeze({});

/**
 * As Prometheus' histogram_quantile: linear inside the bucket that holds it; beyond the last edge, that edge.
 * @param {number[]} edges upper edges in seconds, rising; a last one that is infinite may be left out
 * @param {number[]} cumulative how many were at most as long as each edge, then how many in all
 * @param {number} share from 0 to 1
 * @returns {?number} seconds; null where nothing was counted
 */
export function quantile(edges, cumulative, share) {
  const total = cumulative.at(-1) ?? 0;
  if (!(total > 0)) return null;
  const finite = edges.filter(Number.isFinite);
  const rank = share * total;
  const bucket = cumulative.findIndex((count) => count >= rank);
  if (bucket >= finite.length || bucket < 0) return finite.at(-1) ?? null;
  const [low, below] = bucket ? [finite[bucket - 1], cumulative[bucket - 1]] : [0, 0];
  const inside = cumulative[bucket] - below;
  return inside > 0 ? low + (finite[bucket] - low) * ((rank - below) / inside) : finite[bucket];
}

/** The sum of a table of counters. */
export function total(counters = NOTHING) {
  return Object.values(counters).reduce((sum, count) => sum + count, 0);
}

/** By name, how much each counter grew; what did not is left out. */
export function grown(after = NOTHING, before = NOTHING) {
  const growth = Object.entries(after).map(([name, count]) => [name, count - (Object.hasOwn(before, name) ? before[name] : 0)]);
  return Object.fromEntries(growth.filter(([, count]) => count > 0));
}

/** All counters of a snapshot by a name of their own, to see whether one fell. */
export function counters(snapshot) {
  const all = { retries: snapshot.retries ?? 0, ...named("shed", snapshot.shed) };
  for (const [detector, one] of Object.entries(snapshot.detectors)) {
    Object.assign(all, named(`${detector}.unserved`, one.unserved), named(`${detector}.compared`, one.compared));
    Object.assign(all, named(`${detector}.fallback`, fallbacks(one)));
    for (const [side, own] of Object.entries(one.sides)) {
      Object.assign(all, named(`${detector}.${side}`, own.requests), named(`${detector}.${side}.call`, own.attempts));
      all[`${detector}.${side}.timed`] = own.durations.at(-1) ?? 0;
    }
  }
  return all;
}

/** The fallbacks of a detector as counters, by "from>to>reason". */
export function fallbacks(detector) {
  return Object.fromEntries((detector.fallbacks ?? []).map((one) => [`${one.from}>${one.to}>${one.reason}`, one.count]));
}

/** Whether nothing may be read from one snapshot to the next one. */
export function isBreak(before, after) {
  const passed_s = after.at - before.at;
  if (!(passed_s > 0) || passed_s > GAP_S) return true;
  const now = counters(after);
  return Object.entries(counters(before)).some(([name, count]) => (now[name] ?? 0) < count);
}

const leadsOn = new WeakMap(); // by the later one of two: [the one before, whether there is a break]; each plot asks again

function isKnownBreak(before, after) {
  const [known, answer] = leadsOn.get(after) ?? [];
  if (known === before) return answer;
  const isNew = isBreak(before, after);
  leadsOn.set(after, [before, isNew]);
  return isNew;
}

/** The snapshots in runs without a break, each from old to new. */
export function runs(snapshots) {
  const found = [];
  for (const snapshot of snapshots) {
    const last = found.at(-1);
    if (last && !isKnownBreak(last.at(-1), snapshot)) last.push(snapshot);
    else found.push([snapshot]);
  }
  return found;
}

/**
 * A detector's figures at each snapshot.
 * @returns {object[]} {at, breaks, sides: {legacy, triton}, fallbacks_per_s}; `breaks`: nothing leads here from
 *   the one before; the rates of a moment that has nothing before it are null
 */
export function moments(snapshots, detector) {
  return runs(snapshots).flatMap((run) => run.map((snapshot, index) => {
    const first = run.findIndex((one) => one.at >= snapshot.at - WINDOW_S - 0.5);
    return moment(run[first], snapshot, detector, index === 0);
  }));
}

function moment(before, now, detector, breaks) {
  const passed_s = now.at - before.at;
  const [was, is] = [before.detectors[detector], now.detectors[detector]];
  const perSecond = (growth) => (passed_s > 0 && was && is ? total(growth) / passed_s : null);
  const sides = SIDES.map((side) => [side, ofSide(was?.sides[side], is?.sides[side], now.edges_s, perSecond)]);
  return {
    at: now.at, breaks, sides: Object.fromEntries(sides),
    fallbacks_per_s: perSecond(grown(is && fallbacks(is), was && fallbacks(was))),
  };
}

/** What is counted without a side's requests goes on: the state of its breaker is known at once. */
function ofSide(was, is, edges_s, perSecond) {
  const state = { breaker: is?.breaker ?? null, ready: is?.ready ?? null, in_flight: is?.in_flight_all_detectors ?? null };
  const requests = grown(is?.requests, was?.requests);
  const timed = is && was ? is.durations.map((count, index) => count - (was.durations[index] ?? 0)) : [];
  const [p50_s, p95_s, p99_s] = [0.5, 0.95, 0.99].map((share) => quantile(edges_s, timed, share));
  const errors = failures(grown(is?.attempts, was?.attempts));
  return { ...state, requests_per_s: perSecond(requests), p50_s, p95_s, p99_s, errors_per_s: perSecond(errors) };
}

/** The calls that a side failed; one that was broken off at shutdown is none. */
export function failures(attempts) {
  return Object.fromEntries(Object.entries(attempts).filter(([code]) => code !== "ok" && code !== "cancelled"));
}

/**
 * What was counted since the first snapshot that is kept, over all runs: restarts lose only what was counted unseen.
 * @param {function(object): object} pick the counters of a snapshot
 */
export function growth(snapshots, pick) {
  const sum = Object.create(null);
  for (const run of runs(snapshots)) {
    for (const [name, count] of Object.entries(grown(pick(run.at(-1)), pick(run[0])))) sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

/** In each piece without a break the points that have a value, as [at, value]. */
export function pieces(points, pick) {
  const found = [[]];
  for (const point of points) {
    const value = pick(point);
    if (point.breaks || value === null) found.push([]);
    if (value !== null) found.at(-1).push([point.at, value]);
  }
  return found.filter((piece) => piece.length);
}

function named(prefix, table = NOTHING) {
  return Object.fromEntries(Object.entries(table).map(([name, count]) => [`${prefix}.${name}`, count]));
}

/** The next number of 1, 2, 2.5 or 5 times a power of ten that holds this one. */
export function roomy(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999999);
}
