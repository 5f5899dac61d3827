/** One fader: a slider, its number, and marks for what is asked for and what is so. */

import { el, write } from "./dom.js";
import { percent, shares } from "./words.js";

const TICKS = [0, 25, 50, 75, 100];

/**
 * A fader named `label`; `moved(share)` hears each move. `show({drafted, asked, effective, enabled})` puts it where
 * it belongs: the cap at the draft or what is asked for, a hollow cap at what is asked for, a mark at what is so. Until
 * then nothing can be moved.
 */
export function track(label, moved, master = false) {
  const told = (input) => { if (input.value !== "" && input.validity.valid) moved(shareOf(input.valueAsNumber)); };
  const slider = el("input", { type: "range", min: 0, max: 100, step: 1, disabled: true, "aria-label": label, on: { input: () => told(slider) } });
  const number = el("input", { type: "number", min: 0, max: 100, step: "any", inputmode: "decimal", disabled: true, "aria-label": `${label}, in per cent`,
    on: { input: () => told(number) } });
  const asked = el("span", { class: "asked", "aria-hidden": "true" });
  const marks = [mark(), mark()];
  const now = el("span", { class: "now-words", "aria-hidden": "true", "data-live": true });
  const ticks = el("span", { class: "ticks", "aria-hidden": "true" }, TICKS.map((at) => at_(el("i", { text: at }), at / 100)));
  const lane = el("div", { class: "lane" }, slider, asked, marks, now, ticks);
  const element = el("div", { class: master ? "track is-master" : "track" }, lane,
    el("label", { class: "percent" }, number, el("span", { "aria-hidden": "true", text: "%" })));
  return { element, slider, show: (what) => show({ element, slider, number, asked, marks, now }, what) };
}

/** 33.3 per cent is 0.333, and not 0.33299999999999996. */
function shareOf(percentage) {
  return Number((percentage / 100).toFixed(6));
}

function show({ element, slider, number, asked, marks, now }, { drafted, asked: share, effective, enabled }) {
  const at = drafted ?? share;
  element.classList.toggle("is-draft", drafted !== null);
  put(slider, String(Math.round(100 * at)));
  put(number, String(Number((100 * at).toFixed(4))));
  slider.disabled = !enabled;
  number.disabled = !enabled;
  slider.setAttribute("aria-valuetext", drafted === null ? `${percent(at)} asked for` : `${percent(at)}, not sent yet`);
  at_(asked, share);
  showNow(marks, now, effective.filter((one) => one !== undefined));
}

/** One mark where all are alike, else one at each end. */
function showNow(marks, now, known) {
  const ends = [Math.min(...known), Math.max(...known)];
  marks.forEach((one, end) => {
    one.hidden = !known.length || (end === 1 && ends[0] === ends[1]);
    if (known.length) at_(one, ends[end]);
  });
  now.hidden = !known.length;
  write(now, `now ${shares(known)}`);
  if (known.length) at_(now, (ends[0] + ends[1]) / 2);
}

function mark() {
  return el("span", { class: "effective", "aria-hidden": "true", "data-live": true });
}

/** Somebody who is typing is not interrupted by the same number in other signs. */
function put(input, value) {
  if (Number(input.value) !== Number(value) || (input.value === "" && document.activeElement !== input)) input.value = value;
}

function at_(element, share) {
  element.style.setProperty("--at", share);
  return element;
}
