/** The evidence of a ramp's step: how often the sides disagree and how surely, each question's figures, what is waited for. */

import { bullets } from "./dialog.js";
import { el, replace, svg, write } from "./dom.js";
import { count, duration, percent, UNKNOWN } from "./words.js";

const SIZE = { height: 150, left: 58, right: 8, top: 10, bottom: 24 };
const USUAL_WIDTH = 480;
const QUESTIONS = {
  disagreement: "Disagreement", errors: "Errors", latency: "Slower than legacy was", fresh: "Slower than legacy now",
};

const HEADS = ["Question", "Samples", "Rate", "Allowed", "Answer"];

/** `{element, show(ramp, look)}` of one detector. */
export function evidenceOf(detector) {
  const plot = el("div", { class: "trail" });
  const rows = el("tbody");
  const waits = el("div", { class: "waits" });
  const fault = el("p", { class: "bad", hidden: true });
  const element = el("div", { class: "evidence", hidden: true, "data-live": true }, fault, waits, plot, table(detector, rows));
  const show = (ramp, look) => {
    element.hidden = !look || ramp.phase === "ended" && !look.answers.length;
    if (element.hidden) return;
    fault.hidden = !look.fault;
    write(fault, look.fault ? `What is wrong: ${look.fault}` : "");
    showWaits(waits, look);
    const asked = look.answers.find((one) => one.question === "disagreement");
    replace(plot, asked ? [agreementWords(asked), drawn(look.trail, asked, plot.clientWidth || USUAL_WIDTH)] : null);
    replace(rows, look.answers.map(row));
    rows.parentElement.hidden = !look.answers.length;
  };
  return { element, show };
}

function showWaits(waits, look) {
  const stamp = JSON.stringify([look.waits_for, look.eta_s]);
  if (waits.dataset.stamp === stamp) return;
  waits.dataset.stamp = stamp;
  replace(waits,
    look.waits_for.length > 0 && [el("h3", { text: "Waits for" }), bullets(look.waits_for)],
    look.eta_s !== null && el("p", { class: "soft small", text: `Next step in about ${duration(look.eta_s)}, as things go.` }));
}

// --- the agreement, drawn --------------------------------------------------------------------------------

function agreementWords(asked) {
  const surely = asked.low !== null && asked.high !== null ? `surely ${share(1 - asked.high)} to ${share(1 - asked.low)}; ` : "";
  return el("p", { class: "agreement" },
    el("strong", { class: "big", text: asked.rate === null ? UNKNOWN : share(1 - asked.rate) }), " agreement ",
    el("span", { class: "soft small", text: `${surely}at least ${share(1 - asked.bound)} is asked` }));
}

/** A share near 1 keeps the figures that tell it from 1; noise of legacy may carry it past the ends. */
function share(value) {
  return `${Number((100 * Math.max(0, Math.min(1, value))).toFixed(value > 0.99 ? 2 : 1))} %`;
}

/** The band as an area, the rate as a line, what is asked as a dashed one: agreement over samples, in real pixels. */
export function drawn(trail, { bound, rate }, width) {
  if (trail.length < 2) return null;
  const points = trail.map((one) => ({ samples: one.samples, at: 1 - one.rate, low: 1 - one.high, high: 1 - one.low }));
  const samples = points.at(-1).samples;
  const floor = floorOf(points, bound);
  const x = scale(0, samples, SIZE.left, width - SIZE.right);
  const y = scale(floor, 1, SIZE.height - SIZE.bottom, SIZE.top);
  const line = (name, some) => some.map((one) => `${x(one.samples)},${y(one[name])}`).join(" ");
  return svg("svg", { viewBox: `0 0 ${width} ${SIZE.height}`, height: SIZE.height, role: "img", class: "plot",
    "aria-label": `Agreement over ${count(samples)} samples: ${share(1 - (rate ?? 0))} now` },
  svg("polygon", { class: "band", points: `${line("high", points)} ${line("low", [...points].reverse())}` }),
  height(1, y, width, "grid"), height(floor, y, width, "grid"), height(1 - bound, y, width, "bound"),
  svg("polyline", { class: "rate", points: line("at", points) }),
  svg("text", { class: "label", x: SIZE.left, y: SIZE.height - 6 }, "0"),
  svg("text", { class: "label", x: x(samples), y: SIZE.height - 6, "text-anchor": "end" }, `${count(samples)} samples`));
}

/** Low enough for what is asked and for the band of late; what it was at first would flatten the rest. */
function floorOf(points, bound) {
  const late = points.slice(-Math.ceil(points.length / 2)).map((one) => one.low);
  return Math.max(0, Math.floor(1000 * Math.min(1 - 3 * bound, ...late)) / 1000);
}

function height(at, y, width, name) {
  return svg("g", {}, svg("line", { class: name, x1: SIZE.left, x2: width - SIZE.right, y1: y(at), y2: y(at) }),
    svg("text", { class: "label", x: SIZE.left - 6, y: y(at) + 4, "text-anchor": "end" }, share(at)));
}

function scale(from, to, start, end) {
  const span = to - from || 1;
  return (value) => Math.round(10 * (start + (Math.max(from, Math.min(to, value)) - from) / span * (end - start))) / 10;
}

// --- the questions ---------------------------------------------------------------------------------------

function table(detector, rows) {
  return el("table", { class: "questions", "aria-label": `Questions about ${detector}` },
    el("thead", {}, el("tr", {}, HEADS.map((text) => el("th", { scope: "col", text })))), rows);
}

function row(answer) {
  const asked = answer.worse + answer.same + answer.better;
  const of = answer.needed > asked ? ` of about ${count(answer.needed)}` : "";
  const [words, kind] = verdict(answer, asked);
  return el("tr", {},
    el("th", { scope: "row", text: QUESTIONS[answer.question] ?? answer.question }),
    el("td", { "data-head": HEADS[1], text: `${count(asked)}${of}` }),
    el("td", { "data-head": HEADS[2] }, asked ? percent(answer.rate ?? undefined) : UNKNOWN, el("span", { class: "soft small band-words", text: bandWords(answer) })),
    el("td", { "data-head": HEADS[3], text: percent(answer.bound) }),
    el("td", { class: kind, text: words }));
}

function bandWords({ low, high }) {
  return low === null || high === null ? "" : `${percent(low)} to ${percent(high)}`;
}

function verdict({ well, well_at: wellAt, ill, ill_at: illAt }, asked) {
  if (!asked) return ["no samples yet", "soft"];
  if (ill >= illAt) return ["against Triton", "bad"];
  if (ill > illAt / 2) return ["suspicious", "warn"];
  if (well >= wellAt) return [wellAt > 0 ? "answered well" : "nothing against it", "good"];
  return [`${Math.max(0, Math.floor(100 * well / wellAt))} % of the proof`, ""];
}
