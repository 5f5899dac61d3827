/** The evidence of a ramp's step: how often the sides disagree and how surely, each question's figures, what is waited for. */

import { bullets } from "./dialog.js";
import { el, replace, svg, write } from "./dom.js";
import { count, duration, percent, UNKNOWN } from "./words.js";

const SIZE = { width: 480, height: 150, left: 46, right: 12, top: 10, bottom: 26 };
const QUESTIONS = {
  disagreement: "Disagreement", errors: "Errors", latency: "Slower than legacy was", fresh: "Slower than legacy now",
};

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
    replace(plot, asked ? [agreementWords(asked), drawn(look.trail, asked)] : null);
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
  const known = asked.rate !== null;
  const surely = asked.low !== null && asked.high !== null ? ` (surely ${share(1 - asked.high)} to ${share(1 - asked.low)})` : "";
  return el("p", { class: "agreement" },
    el("strong", { class: "big", text: known ? share(1 - asked.rate) : UNKNOWN }), el("span", { text: ` agreement${surely}` }),
    el("span", { class: "soft", text: `, at least ${share(1 - asked.bound)} is asked` }));
}

/** A share near 1 keeps the figures that tell it from 1; noise of legacy may carry it past the ends. */
function share(value) {
  const near = Math.max(0, Math.min(1, value));
  return `${(100 * near).toFixed(near > 0.99 && near < 1 ? 2 : 1).replace(/\.0+$/, "")} %`;
}

/** The band as an area, the rate as a line, what is asked as a dashed one: agreement over samples. */
export function drawn(trail, { bound, rate }) {
  if (trail.length < 2) return null;
  const points = trail.map((one) => ({ samples: one.samples, at: 1 - one.rate, low: 1 - one.high, high: 1 - one.low }));
  const floor = Math.max(0, Math.min(1 - 3 * bound, ...points.slice(-Math.ceil(points.length / 2)).map((one) => one.low)));
  const x = scale(0, points.at(-1).samples, SIZE.left, SIZE.width - SIZE.right);
  const y = scale(floor, 1, SIZE.height - SIZE.bottom, SIZE.top);
  const line = (name, some) => some.map((one) => `${x(one.samples)},${y(one[name])}`).join(" ");
  return svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", class: "plot",
    "aria-label": `Agreement over ${count(points.at(-1).samples)} samples: ${share(1 - (rate ?? 0))} now` },
  axes(x, y, floor, points.at(-1).samples),
  svg("polygon", { class: "band", points: `${line("high", points)} ${line("low", [...points].reverse())}` }),
  svg("polyline", { class: "rate", points: line("at", points) }),
  svg("line", { class: "bound", x1: SIZE.left, x2: SIZE.width - SIZE.right, y1: y(1 - bound), y2: y(1 - bound) }),
  svg("text", { class: "label", x: SIZE.width - SIZE.right, y: y(1 - bound) + 14, "text-anchor": "end" }, "asked"));
}

function axes(x, y, floor, samples) {
  const heights = [floor, (1 + floor) / 2, 1];
  return [
    heights.map((at) => svg("line", { class: "grid", x1: SIZE.left, x2: SIZE.width - SIZE.right, y1: y(at), y2: y(at) })),
    heights.map((at) => svg("text", { class: "label", x: SIZE.left - 6, y: y(at) + 4, "text-anchor": "end" }, share(at))),
    svg("text", { class: "label", x: SIZE.left, y: SIZE.height - 6 }, "0"),
    svg("text", { class: "label", x: x(samples), y: SIZE.height - 6, "text-anchor": "end" }, `${count(samples)} samples`),
  ];
}

function scale(from, to, start, end) {
  const span = to - from || 1;
  return (value) => (start + (Math.max(from, Math.min(to, value)) - from) / span * (end - start)).toFixed(1);
}

// --- the questions ---------------------------------------------------------------------------------------

function table(detector, rows) {
  const heads = ["Question", "Samples", "Rate", "Allowed", "Answer"];
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Questions about ${detector}` },
    el("table", { class: "questions" }, el("thead", {}, el("tr", {}, heads.map((text) => el("th", { scope: "col", text })))), rows));
}

function row(answer) {
  const asked = answer.worse + answer.same + answer.better;
  const of = answer.needed > asked ? ` of about ${count(answer.needed)}` : "";
  const [words, kind] = verdict(answer, asked);
  return el("tr", {},
    el("th", { scope: "row", text: QUESTIONS[answer.question] ?? answer.question }),
    el("td", { text: `${count(asked)}${of}` }),
    el("td", {}, asked ? percent(answer.rate ?? undefined) : UNKNOWN, el("span", { class: "soft small band-words", text: bandWords(answer) })),
    el("td", { text: percent(answer.bound) }),
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
