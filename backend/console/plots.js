/**
 * Live plots of the two sides over the last minutes: plain SVG for the lines, HTML for the words, so that neither stretches.
 *
 * Legacy is solid and Triton dashed, whatever their colours are. A break in the data is left open and shaded.
 */

import { el, svg } from "./dom.js";
import { KEPT_S, SIDES, pieces, roomy } from "./rates.js";
import { NAMES, UNKNOWN } from "./words.js";

const WIDTH = 600;
const HEIGHT = 120;
const TOP = 6; // of HEIGHT, kept free so that the highest line is seen whole

/** What stands at a height: an open breaker fills its strip, a half open one half of it. */
const BREAKER_HEIGHTS = Object.freeze({ closed: 0, half_open: 0.5, open: 1 });

/**
 * A plot of lines from 0 upwards, the same span of time for all.
 * @param {string} title what is plotted, with its unit
 * @param {object[]} lines {name, side, pick} or {name, side, pick, low, high}; `side` says how the line is drawn
 * @param {function(?number): string} words a value as it is read
 * @param {number} least the plot reaches at least so high: one failure in a while is no mountain
 * @returns {{root: Element, draw: function(object[], number), mark: function(?object)}} `draw` takes moments and now
 */
export function linePlot(title, lines, words, least = 0) {
  const gaps = svg("path", { class: "plot-gap" });
  const bands = lines.map((line) => line.high && svg("path", { class: `plot-band ${line.side}` }));
  const paths = lines.map((line) => svg("path", { class: `plot-line ${line.side}` }));
  const cursor = svg("path", { class: "plot-cursor" });
  const top = el("span", { class: "plot-top" });
  const values = lines.map((line) => el("b", { class: "plot-value", text: UNKNOWN }));
  const legend = lines.map((line, index) => el("span", { class: "plot-name" }, swatch(line.side), ` ${line.name} `, values[index]));
  const root = frame(title, legend, [gaps, ...bands.filter(Boolean), ...paths, cursor], [top]);
  let span = null;

  function draw(points, now) {
    const highest = Math.max(least, ...points.flatMap((point) => lines.map((line) => (line.high ?? line.pick)(point) ?? 0)));
    const most = roomy(highest);
    span = { from: now - KEPT_S, now };
    const at = ([time, value]) => `${x(time, span)} ${y(value / most)}`;
    gaps.setAttribute("d", gapsOf(points, span));
    lines.forEach((line, index) => {
      paths[index].setAttribute("d", pieces(points, line.pick).map((piece) => polyline(piece.map(at))).join(""));
      bands[index]?.setAttribute("d", areas(points, line).map((corners) => `M${corners.map(at).join("L")}Z`).join(""));
    });
    top.textContent = words(most);
  }

  function mark(point, isNow) {
    cursor.setAttribute("d", point && span && !isNow ? `M${x(point.at, span)} 0V${HEIGHT}` : "");
    lines.forEach((line, index) => { values[index].textContent = words(point ? line.pick(point) : null); });
  }
  return { root, draw, mark };
}

/** Both breakers as strips: nothing while closed, half its height while half open, full while open. */
export function breakerPlot(title, words) {
  const gaps = svg("path", { class: "plot-gap" });
  const base = svg("path", { class: "plot-base", d: `M0 56H${WIDTH}M0 116H${WIDTH}` });
  const strips = SIDES.map((side) => svg("path", { class: `plot-strip ${side}` }));
  const cursor = svg("path", { class: "plot-cursor" });
  const values = SIDES.map(() => el("b", { class: "plot-value", text: UNKNOWN }));
  const names = SIDES.map((side, row) => el("span", { class: `plot-row row-${row}`, text: NAMES[side] }));
  const legend = SIDES.map((side, index) => el("span", { class: "plot-name" }, names[index].textContent, " ", values[index]));
  const root = frame(title, legend, [gaps, base, ...strips, cursor], names);
  let span = null;

  function draw(points, now) {
    span = { from: now - KEPT_S, now };
    gaps.setAttribute("d", gapsOf(points, span));
    SIDES.forEach((side, row) => strips[row].setAttribute("d", blocks(points, side, row, span)));
  }

  function mark(point, isNow) {
    cursor.setAttribute("d", point && span && !isNow ? `M${x(point.at, span)} 0V${HEIGHT}` : "");
    SIDES.forEach((side, index) => { values[index].textContent = words(point?.sides[side].breaker ?? null); });
  }
  return { root, draw, mark };
}

/** A piece of the line that stands for a side, for legends. */
export function swatch(side) {
  const line = svg("path", { class: `plot-line ${side}`, d: "M1 5H21" });
  return svg("svg", { class: "swatch", viewBox: "0 0 22 10", width: "22", height: "10", "aria-hidden": "true" }, line);
}

/** The moment that lies nearest to a place in a plot, from 0 at its left edge to 1 at its right one. */
export function nearest(points, now, place) {
  const wanted = now - KEPT_S * (1 - place);
  return points.reduce((best, point) => (!best || Math.abs(point.at - wanted) < Math.abs(best.at - wanted) ? point : best), null);
}

function frame(title, legend, shapes, words) {
  const drawing = svg("svg", {
    class: "plot-drawing", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, ...shapes);
  const ends = el("div", { class: "plot-ends" }, el("span", { text: "5 min ago" }), el("span", { text: "now" }));
  return el("figure", { class: "plot" },
    el("figcaption", {}, el("span", { class: "plot-title", text: title }), el("span", { class: "plot-legend" }, ...legend)),
    el("div", { class: "plot-area" }, drawing, ...words), ends);
}

function x(at, span) {
  return Math.round(((at - span.from) / KEPT_S) * WIDTH * 10) / 10;
}

function y(share) {
  return Math.round((HEIGHT - 1 - share * (HEIGHT - TOP)) * 10) / 10;
}

/** A lone point is drawn as a dot: round ends of a line that goes nowhere. */
function polyline(corners) {
  return corners.length > 1 ? `M${corners.join("L")}` : `M${corners[0]}h0.01`;
}

function areas(points, line) {
  if (!line.high) return [];
  const low = pieces(points, line.low);
  return pieces(points, line.high).map((piece, index) => [...piece, ...(low[index] ?? []).toReversed()]);
}

function gapsOf(points, span) {
  const box = (from, to) => (to > from ? `M${from} 0H${to}V${HEIGHT}H${from}Z` : "");
  const breaks = points.flatMap((point, index) => (point.breaks && index ? [[points[index - 1].at, point.at]] : []));
  return breaks.map(([from, to]) => box(Math.max(0, x(from, span)), x(to, span))).join("");
}

function blocks(points, side, row, span) {
  const bottom = row ? 116 : 56;
  return points.map((point, index) => {
    const height = 44 * (BREAKER_HEIGHTS[point.sides[side].breaker] ?? 0);
    const next = points[index + 1];
    const until = next && !next.breaks ? next.at : point.at + 2;
    const to = Math.min(WIDTH, x(until, span));
    return height && to > 0 ? `M${Math.max(0, x(point.at, span))} ${bottom}V${bottom - height}H${to}V${bottom}Z` : "";
  }).join("");
}
