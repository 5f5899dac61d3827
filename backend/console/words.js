/** Numbers and times as a person reads them. Pure; what is unknown is a dash, never a zero. */

export const UNKNOWN = "–";

/** What the sides are called. */
export const NAMES = Object.freeze({ legacy: "legacy", triton: "Triton" });

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

function known(number) {
  return typeof number === "number" && Number.isFinite(number);
}

/** A share: "10 %", "0.3 %", "33.3 %"; "100 %" is all of it, and what lacks a little says so: "99.96 %". */
export function percent(share) {
  if (!known(share)) return UNKNOWN;
  if (share < 0.995 || share >= 1) return `${figures(100 * share)} %`;
  const lacking = Math.max(1e-4, Number((100 * (1 - share)).toPrecision(2)));
  return `${Number((100 - lacking).toFixed(4))} %`;
}

/** Three figures that say something, without an exponent: "0.125", "33.3", "1,414". */
export function figures(number) {
  return known(number) ? number.toLocaleString("en-GB", { maximumSignificantDigits: 3 }).replace("-", "−") : UNKNOWN;
}

/** A whole number: "1,414". */
export function count(number) {
  return known(number) ? Math.round(number).toLocaleString("en-GB") : UNKNOWN;
}

/** "1 worker", "2 workers". */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Seconds as milliseconds or seconds: "24 ms", "1.3 s". */
export function milliseconds(seconds) {
  if (!known(seconds)) return UNKNOWN;
  return seconds < 1 ? `${figures(1000 * seconds)} ms` : `${figures(seconds)} s`;
}

/** About so long, in the largest unit that still says something: "40 minutes". */
export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  if (seconds < 90) return counted(Math.max(1, Math.round(seconds)), "second");
  if (seconds < 90 * MINUTE_S) return counted(Math.round(seconds / MINUTE_S), "minute");
  if (seconds < 2 * DAY_S) return counted(Math.round(seconds / HOUR_S), "hour");
  return counted(Math.round(seconds / DAY_S), "day");
}

/** How long ago a unix time was, seen from `now` in unix seconds: "12 s ago", "3 min ago". */
export function ago(at, now = Date.now() / 1000) {
  if (!known(at)) return UNKNOWN;
  const seconds = Math.max(0, now - at);
  if (seconds < 100) return `${Math.round(seconds)} s ago`;
  if (seconds < 100 * MINUTE_S) return `${Math.round(seconds / MINUTE_S)} min ago`;
  if (seconds < 2 * DAY_S) return `${Math.round(seconds / HOUR_S)} h ago`;
  return `${Math.round(seconds / DAY_S)} days ago`;
}

/** A unix time in the reader's own zone: "03:04:05" of today, "12 Mar 03:04:05" of another day. */
export function when(at, now = Date.now() / 1000) {
  if (!known(at)) return UNKNOWN;
  const day = new Date(at * 1000);
  const time = day.toLocaleTimeString("en-GB");
  if (day.toDateString() === new Date(now * 1000).toDateString()) return time;
  return `${day.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

/** Minutes and seconds that are left: "4:07". */
export function countdown(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(left / MINUTE_S)}:${String(left % MINUTE_S).padStart(2, "0")}`;
}

/** "rtdetr", "rtdetr and yolo26", "a, b and c". */
export function listed(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
}

/** The same where there may be a thousand: "a, b, c and 997 more". */
export function some(names, most = 5) {
  return names.length > most + 1 ? `${names.slice(0, most).join(", ")} and ${count(names.length - most)} more` : listed(names);
}

/** The lowest and the highest of some shares: "10 %", "0–25 %". */
export function shares(values) {
  const some = values.filter(known);
  if (!some.length) return UNKNOWN;
  const [low, high] = [Math.min(...some), Math.max(...some)];
  return low === high ? percent(low) : `${figures(100 * low)}–${percent(high)}`;
}

/** What a change did to a state, as phrases: ["all detectors 10 % → 25 %", "shadow 0 % → 10 %"]. */
export function differences(before, after) {
  const told = [];
  const [old, now] = [before ?? {}, after ?? {}];
  const arrow = (name, a, b) => { if (a !== b) told.push(`${name} ${percent(a)} → ${percent(b)}`); };
  if (old.enabled !== now.enabled) told.push(now.enabled ? "Triton switched on" : "Triton switched off");
  arrow("all detectors", old.fraction, now.fraction);
  for (const name of keys(old.overrides, now.overrides)) {
    const [a, b] = [old.overrides?.[name], now.overrides?.[name]];
    if (b === undefined) told.push(`${name} follows the common share again`);
    else arrow(name, a ?? old.fraction, b);
  }
  arrow("compared", old.shadow, now.shadow);
  if (old.pins_suspended !== now.pins_suspended && now.pins_suspended) told.push("pins to Triton suspended");
  if (old.pins_suspended && now.pins_suspended === false) told.push("pins to Triton count again");
  const pins = keys(old.pins, now.pins).filter((name) => old.pins?.[name] !== now.pins?.[name]).length;
  if (pins) told.push(`${counted(pins, "pin")} changed`);
  return [...told, ...rampDifferences(old.ramps ?? {}, now.ramps ?? {})];
}

function rampDifferences(old, now) {
  return Object.entries(now).flatMap(([name, ramp]) => {
    const was = old[name];
    if (!was || was.id !== ramp.id) return [`ramp of ${name} started`];
    if (was.phase !== ramp.phase) return [`ramp of ${name}: ${ramp.ended || ramp.phase}`];
    if (was.paused !== ramp.paused) return [`ramp of ${name} ${ramp.paused ? "paused" : "resumed"}`];
    if (was.step !== ramp.step) return [`ramp of ${name}: step ${ramp.step + 1} of ${ramp.steps.length}`];
    return was.approved === ramp.approved ? [] : [`ramp of ${name} approved to ${percent(ramp.approved)}`];
  });
}

function keys(...tables) {
  return [...new Set(tables.flatMap((table) => Object.keys(table ?? {})))].sort();
}
