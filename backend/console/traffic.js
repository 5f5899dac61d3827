/**
 * What passes through both sides, live: for each detector the figures of one moment beside plots of the last minutes.
 *
 * The figures are those of now, until somebody points into a plot or moves along it by keyboard. They stand in a
 * table, which is also what a screen reader reads of the plots.
 */

import { el, replace, svg, write } from "./dom.js";
import { breakerPlot, linePlot, nearest, swatch } from "./plots.js";
import { KEPT_S, SIDES, WINDOW_S, growth, failures, fallbacks, moments, total } from "./rates.js";
import { on, state } from "./store.js";
import { NAMES, UNKNOWN, ago, count, figures, milliseconds, when } from "./words.js";

const BREAKERS = { closed: "closed", half_open: "half open, being tried", open: "open, not asked" };
const BREAKER_WORD = { closed: "closed", half_open: "half open", open: "open" };
const LEAST_FAILING_PER_S = 0.5;
const MOST_HEADROOM = 100; // of a detector that is hardly asked it would be a number of six figures
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

/** Why a side did not serve, or how its call failed, in words. */
export const REASONS = Object.freeze({
  breaker_open: "its breaker was open",
  full: "it had no place left",
  share: "one camera had its share of it already",
  pace: "it would have been too late",
  flag_changed: "the flags were changed meanwhile",
  unavailable: "it was not reached",
  overloaded: "its queue was full",
  deadline_exceeded: "it did not answer in time",
  server_error: "it failed inside",
  model_not_found: "it has no such model",
  invalid_model_output: "its answer made no sense",
  refused: "it refused the picture",
});
const UNSERVED = {
  unavailable: "no side could serve", busy: "too much was asked", late: "the deadline passed",
  gone: "the caller hung up", failed: "a fault of the backend", refused: "every side refused the picture",
};
const SHED = { full: "no place was left", share: "one camera had its share", pace: "it would have been too late" };

/** Shows the traffic in `root`, as long as the page lives. */
export function mount(root) {
  const since = el("p", { class: "soft small" });
  const sections = new Map();
  const list = el("div", { class: "traffic" });
  const common = el("p", { class: "soft small" });
  replace(root, since, list, common);
  on("traffic line me", () => {
    const names = Object.keys(state.traffic.at(-1)?.detectors ?? {});
    write(since, introduction());
    for (const name of names) {
      if (!sections.has(name)) sections.set(name, section(name));
      sections.get(name).show();
    }
    const roots = names.map((name) => sections.get(name).root);
    if (roots.length !== list.childElementCount) replace(list, ...roots);
    write(common, names.length && state.traffic.length > 1 ? shedWords() : "");
  });
}

function introduction() {
  const last = state.traffic.at(-1);
  if (!last) return "Waiting for the first figures.";
  const stands = state.line === "lost" ? `As it stood at ${when(last.at)}; the line is lost. ` : "";
  return `${stands}Rates and percentiles are of the ${WINDOW_S} seconds before a moment. Point into a plot, or use the arrow keys in it, to read another moment.`;
}

function shedWords() {
  const shed = growth(state.traffic, (one) => one.shed);
  const retries = growth(state.traffic, (one) => ({ retries: one.retries })).retries ?? 0;
  return `All detectors, in these minutes: turned away ${tallied(shed, SHED)}; asked a second time ${times(retries)}.`;
}

/** One detector: its table, its plots, and what was counted. */
function section(name) {
  const table = figuresTable(name);
  const plots = plotsOf();
  const told = el("ul", { class: "told" });
  const view = { points: [], now: 0, chosen: null };
  const area = el("div", {
    class: "plots", tabindex: "0", role: "slider", "aria-label": `Moment of the plots, ${name}`,
    "aria-valuemin": String(-KEPT_S), "aria-valuemax": "0",
  }, ...plots.map((plot) => plot.root));

  const choose = (at) => { view.chosen = at; mark(); };
  const mark = () => {
    const point = shown(view);
    table.show(point, view.chosen === null);
    plots.forEach((plot) => plot.mark(point, view.chosen === null));
    area.setAttribute("aria-valuenow", String(point ? Math.round(point.at - view.now) : 0));
    area.setAttribute("aria-valuetext", point ? spoken(point, view.chosen === null) : "no figures yet");
  };
  area.addEventListener("pointermove", (event) => choose(pointed(event, view)));
  area.addEventListener("pointerdown", (event) => choose(pointed(event, view)));
  area.addEventListener("pointerleave", () => choose(null));
  area.addEventListener("blur", () => choose(null));
  area.addEventListener("keydown", (event) => walked(event, view, choose));
  const root = el("section", { class: "detector", "aria-label": `Traffic of ${name}` },
    el("div", { class: "detector-figures" }, el("h3", { text: name }), table.root, told), area);

  function show() {
    view.now = state.traffic.at(-1).at;
    view.points = moments(state.traffic, name).filter((point) => point.at >= view.now - KEPT_S);
    if (view.chosen !== null && view.chosen < view.now - KEPT_S) view.chosen = null;
    plots.forEach((plot) => plot.draw(view.points, view.now));
    mark();
    tell(told, tellings(name));
  }
  return { root, show };
}

/** Only where it is new: what somebody has marked to copy stays marked. */
function tell(list, lines) {
  if (lines.join() === [...list.children].map((item) => item.textContent).join()) return;
  replace(list, ...lines.map((text) => el("li", { text })));
}

function plotsOf() {
  const side = (which) => (point) => point.sides[which];
  const lines = (key, more = () => ({})) => SIDES.map((which) => ({
    name: NAMES[which], side: which, pick: (point) => side(which)(point)[key], ...more(side(which)),
  }));
  const band = (of) => ({ low: (point) => of(point).p50_s, high: (point) => of(point).p99_s });
  const perSecond = (value) => (value === null ? UNKNOWN : `${rate(value)}/s`);
  const failing = [...lines("errors_per_s"), { name: "fallbacks", side: "other", pick: (point) => point.fallbacks_per_s }];
  return [
    linePlot("Requests served", lines("requests_per_s"), perSecond),
    linePlot("Time to answer: p95, between p50 and p99", lines("p95_s", band), milliseconds),
    linePlot("Failed calls", failing, perSecond, LEAST_FAILING_PER_S),
    breakerPlot("Breakers", (breaker) => BREAKER_WORD[breaker] ?? UNKNOWN),
  ];
}

// --- the table ----------------------------------------------------------------------------------------------

const ROWS = [
  ["Requests/s", (one) => rate(one.requests_per_s)],
  ["p50", (one) => milliseconds(one.p50_s)],
  ["p95", (one) => milliseconds(one.p95_s)],
  ["p99", (one) => milliseconds(one.p99_s)],
  ["Failed calls/s", (one) => rate(one.errors_per_s), (one) => one.errors_per_s > 0],
  ["Breaker", (one) => breakerMark(one.breaker)],
  ["Ready", (one) => readyMark(one.ready)],
  ["In flight, all detectors", (one) => count(one.in_flight)],
];

function figuresTable(name) {
  const moment = el("th", { scope: "col", class: "moment", text: "now" });
  const heads = SIDES.map((side) => el("th", { scope: "col", class: side }, swatch(side), ` ${NAMES[side]}`));
  const cells = ROWS.map(() => SIDES.map(() => el("td", { text: UNKNOWN })));
  const rows = ROWS.map(([title], index) => el("tr", {}, el("th", { scope: "row", text: title }), ...cells[index]));
  const root = el("table", { class: "figures" },
    el("caption", { class: "unseen", text: `Figures of ${name}, both sides` }),
    el("thead", {}, el("tr", {}, moment, ...heads)), el("tbody", {}, ...rows));

  function show(point, isNow) {
    write(moment, !point || isNow ? "now" : `at ${when(point.at)}`);
    ROWS.forEach(([, told, isBad], row) => SIDES.forEach((side, column) => {
      put(cells[row][column], point ? told(point.sides[side]) : UNKNOWN);
      cells[row][column].classList.toggle("bad", Boolean(point && isBad?.(point.sides[side])));
    }));
  }
  return { root, show };
}

/** A text only where it is another one; a mark only where it says something else. */
function put(cell, told) {
  if (typeof told === "string") return write(cell, told);
  if (cell.textContent !== told.textContent) replace(cell, told);
  return cell;
}

function breakerMark(breaker) {
  if (!BREAKERS[breaker]) return UNKNOWN;
  return el("span", { class: `state breaker-${breaker}` }, shape(breaker), ` ${BREAKERS[breaker]}`);
}

function readyMark(ready) {
  if (ready === null) return "– not in use";
  return el("span", { class: `state ${ready ? "is-ready" : "not-ready"}`, text: ready ? "yes" : "no, not serving" });
}

/** A bar between two ends: whole while closed, lifted while half open, gone while open. */
function shape(breaker) {
  const bar = { closed: "M5 8H15", half_open: "M5 8L13 3", open: "M5 8L8 1" }[breaker];
  return svg("svg", { class: "breaker-shape", viewBox: "0 0 20 12", width: "20", height: "12", "aria-hidden": "true" },
    svg("path", { d: "M0 8H5M15 8H20" }), svg("path", { class: "bar", d: bar }));
}

// --- what was counted -----------------------------------------------------------------------------------------

function tellings(name) {
  if (state.traffic.length < 2) return ["What was counted is told from the second reading on."];
  const of = (pick) => growth(state.traffic, (one) => pick(one.detectors[name] ?? { sides: {} }));
  const unserved = of((one) => one.unserved);
  const told = [`Callers without detections: ${tallied(unserved, UNSERVED)}.`, ...fellBack(of(fallbacks))];
  for (const side of SIDES) {
    const failed = failures(of((one) => one.sides[side]?.attempts));
    if (total(failed)) told.push(`Failed calls of ${NAMES[side]}, probes included: ${tallied(failed, REASONS)}.`);
  }
  const headroom = state.traffic.at(-1).detectors[name]?.headroom;
  return typeof headroom === "number" ? [...told, headroomWords(headroom)] : told;
}

/** Pure. */
export function headroomWords(headroom) {
  if (headroom > MOST_HEADROOM) return `Legacy could carry over ${MOST_HEADROOM} times what is asked now: hardly anything is.`;
  if (headroom < 1) return `Legacy could carry only ${figures(headroom)} times what is asked now: too little, if Triton fails.`;
  return `Legacy could carry ${figures(headroom)} times what is asked now.`;
}

function fellBack(ways) {
  if (!total(ways)) return ["Fallbacks: none."];
  const byWay = new Map();
  for (const [way, number] of Object.entries(ways)) {
    const [from, to, reason] = way.split(">");
    const words = `Fallbacks from ${NAMES[from] ?? from} to ${NAMES[to] ?? to}`;
    byWay.set(words, { ...byWay.get(words), [reason]: number });
  }
  return [...byWay].map(([words, counts]) => `${words}: ${tallied(counts, REASONS)}.`);
}

/** "none", or "12: 10 its breaker was open, 2 …"; the most first. */
function tallied(counts, words) {
  const some = Object.entries(counts).filter(([, number]) => number > 0).sort(([, a], [, b]) => b - a);
  if (!some.length) return "none";
  const told = some.map(([name, number]) => (some.length > 1 ? `${count(number)} × ${words[name] ?? name}` : words[name] ?? name));
  return `${count(total(counts))} (${told.join(", ")})`;
}

function times(number) {
  return { 0: "never", 1: "once" }[number] ?? `${count(number)} times`;
}

/** Two figures are as much as a rate over some seconds is worth. */
function rate(value) {
  return value === null ? UNKNOWN : figures(value >= 100 ? Math.round(value) : Number(value.toPrecision(2)));
}

// --- another moment than now ------------------------------------------------------------------------------------

function shown(view) {
  if (view.chosen === null) return view.points.at(-1) ?? null;
  return view.points.reduce((best, point) => (!best || Math.abs(point.at - view.chosen) < Math.abs(best.at - view.chosen) ? point : best), null);
}

function pointed(event, view) {
  const area = event.target.closest(".plot-area");
  if (!area) return null;
  const { left, width } = area.getBoundingClientRect();
  return nearest(view.points, view.now, (event.clientX - left) / width)?.at ?? null;
}

function walked(event, view, choose) {
  const points = view.points;
  if (!points.length || event.altKey || event.ctrlKey || event.metaKey) return;
  const here = points.indexOf(shown(view));
  const to = { Home: 0, End: points.length - 1 }[event.key] ?? (event.key in STEPS ? here + STEPS[event.key] : null);
  if (to === null && event.key !== "Escape") return;
  event.preventDefault();
  const next = to === null ? null : points[Math.max(0, Math.min(points.length - 1, to))];
  choose(next === null || next === points.at(-1) ? null : next.at);
}

function spoken(point, isNow) {
  const told = SIDES.map((side) => {
    const one = point.sides[side];
    return `${NAMES[side]} ${rate(one.requests_per_s)} requests a second, p95 ${milliseconds(one.p95_s)}, breaker ${BREAKER_WORD[one.breaker] ?? UNKNOWN}`;
  });
  return `${isNow ? "now" : ago(point.at, state.traffic.at(-1).at)}: ${told.join("; ")}`;
}
