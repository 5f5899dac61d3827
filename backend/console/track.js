/** One fader: a slider, its number, and marks for what is asked for and what is so. */

import { el, write } from "./dom.js";
import { percent } from "./words.js";

const TICKS = [0, 25, 50, 75, 100];

/**
 * A fader named `label`; `moved(share)` hears each move. `show({drafted, asked, effective, enabled})` puts it where
 * it belongs: the cap at the draft or what is asked for, a hollow cap at what is asked for, a mark at what is so.
 */
export function track(label, moved, master = false) {
  const told = (input) => { if (input.value !== "" && input.validity.valid) moved(input.valueAsNumber / 100); };
  const slider = el("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": label, on: { input: () => told(slider) } });
  const number = el("input", { type: "number", min: 0, max: 100, step: "any", inputmode: "decimal", "aria-label": `${label}, in per cent`,
    on: { input: () => told(number) } });
  const asked = el("span", { class: "asked", "aria-hidden": "true" });
  const marks = [mark(), mark()];
  const ticks = el("span", { class: "ticks", "aria-hidden": "true" }, TICKS.map((at) => at_(el("i", { text: at }), at / 100)));
  const lane = el("div", { class: "lane" }, slider, asked, marks.map((one) => one.element), ticks);
  const element = el("div", { class: master ? "track is-master" : "track" }, lane,
    el("label", { class: "percent" }, number, el("span", { "aria-hidden": "true", text: "%" })));
  return { element, show: (what) => show({ element, slider, number, asked, marks }, what) };
}

function show({ element, slider, number, asked, marks }, { drafted, asked: share, effective, enabled }) {
  const at = drafted ?? share;
  element.classList.toggle("is-draft", drafted !== null);
  put(slider, String(Math.round(100 * at)));
  put(number, String(Number((100 * at).toFixed(2))));
  slider.disabled = !enabled;
  number.disabled = !enabled;
  slider.setAttribute("aria-valuetext", drafted === null ? `${percent(at)} asked for` : `${percent(at)}, not sent yet`);
  at_(slider, at);
  at_(asked, share);
  const known = effective.filter((one) => one !== undefined);
  const ends = [Math.min(...known), Math.max(...known)];
  marks.forEach((one, end) => {
    one.element.hidden = !known.length || (end === 1 && ends[0] === ends[1]);
    if (known.length) at_(one.element, ends[end]);
    if (known.length) write(one.words, `now ${percent(ends[end])}`);
  });
}

function mark() {
  const words = el("span");
  return { element: el("span", { class: "effective", "aria-hidden": "true", "data-live": true }, words), words };
}

/** Somebody who is typing is not interrupted by the same number in other signs. */
function put(input, value) {
  if (Number(input.value) !== Number(value) || (input.value === "" && document.activeElement !== input)) input.value = value;
}

function at_(element, share) {
  element.style.setProperty("--at", share);
  return element;
}
