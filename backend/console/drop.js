/**
 * A picture of one's own through the detector: on both sides at once for an admin, else as the rollout decides.
 *
 * The picture goes to the backend and nowhere else, and is kept by nobody.
 */

import { call } from "./api.js";
import { sentence } from "./banner.js";
import { boxedPicture, boxesOf } from "./boxes.js";
import { el, replace } from "./dom.js";
import { KINDS, agreement, described, things } from "./matching.js";
import { SIDES } from "./rates.js";
import { isAdmin, on, state } from "./store.js";
import { REASONS } from "./traffic.js";
import { NAMES, counted, milliseconds } from "./words.js";

const TIMEOUT_S = 60; // a large picture over a phone's line
const SHOWN = 60; // things in the list
const WHY = {
  FORCED: "because you asked for this side", FRACTION: "by the share of all detectors", OVERRIDE: "by this detector's share",
  PIN: "because its camera is pinned there", QUOTA: "by its camera's place in the quota", DISABLED: "because Triton is switched off",
  KILL_SWITCH: "because TRITON_ENABLED=false stands", STALE: "by the last flags that could be read", COLD_START: "because no flags were ever read",
};

/** Shows the drop zone in `root`, as long as the page lives. */
export function mount(root) {
  const view = { file: null, url: null, turn: 0 };
  const input = el("input", { type: "file", accept: "image/jpeg,image/png,image/webp", class: "drop-input" });
  const zone = el("label", { class: "drop" }, el("span", { text: "Drop a picture here or choose one" }), input);
  const hint = el("p", { class: "soft small" });
  const detector = el("select", { "aria-label": "Ask" });
  const status = el("div", { class: "drop-status", role: "status" });
  const results = el("div", { class: "drop-results" });
  replace(root, zone, el("div", { class: "drop-bar" }, el("label", { class: "filter" }, el("span", { text: "Ask" }), detector), hint), status, results);

  const begin = (files) => {
    if (!files.length) return;
    if (view.url) URL.revokeObjectURL(view.url);
    Object.assign(view, { file: files[0], url: URL.createObjectURL(files[0]), more: files.length - 1 });
    run();
  };
  const run = () => (view.file ? detect(view, detector.value, status, results) : null);
  input.addEventListener("change", () => { begin([...input.files]); input.value = ""; });
  detector.addEventListener("change", run);
  catchFiles(zone, begin);
  on("me", () => {
    if (!state.me) return;
    const chosen = detector.value || state.me.default_detector;
    replace(detector, ...state.me.detectors.map((name) => el("option", { value: name, text: name })));
    detector.value = chosen;
    hint.textContent = isAdmin()
      ? "JPEG, PNG or WebP, also by pasting. It is asked of both sides at once, and kept by nobody."
      : `JPEG, PNG or WebP, also by pasting. Your key (${state.me.name}, ${state.me.role}) may not choose a side: it is asked once, of the side that the rollout decides for. An admin's key shows both.`;
  });
}

/** A file that is let go beside the zone must not take the page's place. */
function catchFiles(zone, begin) {
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.add("is-over");
  });
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("is-over"); });
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.remove("is-over");
    if (zone.contains(event.target)) begin([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    const isTyping = event.target.matches?.("input, textarea"); // some programs copy a picture beside the text
    if (state.me && !isTyping) begin([...(event.clipboardData?.files ?? [])]);
  });
}

async function detect(view, detector, status, results) {
  const turn = ++view.turn;
  const asked = isAdmin() ? SIDES : [null];
  const more = view.more ? ` (the first of ${view.more + 1}; one at a time)` : "";
  replace(status, el("p", { text: `${view.file.name}${more}: asking ${asked.length > 1 ? "both sides" : "the backend"} …` }));
  replace(results);
  const answers = await Promise.all(asked.map((side) => askOne(view.file, detector, side)));
  if (turn !== view.turn) return;
  show(view, answers, status, results);
}

/** By its name a file may be anything; the backend looks into it, and says what it is instead of a picture. */
function typeOf(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

/** `{side, data}` of an answer, `{side, error}` where there was none. */
async function askOne(file, detector, side) {
  try {
    const { data } = await call("POST", "/api/detect", {
      params: { detector, backend: side }, body: file, timeoutS: TIMEOUT_S, headers: { "Content-Type": typeOf(file) },
    });
    return { side: data.served_by.backend, data, boxes: boxesOf(data.detections) };
  } catch (error) {
    return { side, error };
  }
}

function show(view, answers, status, results) {
  const served = answers.filter((one) => one.data);
  const found = answers.length > 1 && served.length === answers.length ? things(answers[0].boxes, answers[1].boxes) : null;
  const pictures = new Map();
  const shown = refusedAlike(answers) ? [] : answers.map((one) => figure(one, view, pictures));
  const size = served[0]?.data.image;
  replace(status, ...conclusion(view, answers, found));
  replace(results, el("div", { class: "drop-figures" }, shown), size ? list(served, found, size, pictures) : null);
}

/** What both sides say of the picture itself is said once. */
function refusedAlike(answers) {
  return answers.every((one) => one.error && one.error.message === answers[0].error.message);
}

function conclusion(view, answers, found) {
  const about = el("span", { class: "soft" }, el("bdi", { text: view.file.name }), ": ");
  if (refusedAlike(answers)) return [el("p", { class: "bad" }, about, refusal(answers[0].error))];
  if (found) {
    const differ = found.some((one) => one.kind !== "same");
    return [
      el("p", { class: "agreement" }, about, el("strong", { class: differ ? "warn" : "good", text: agreement(found) })),
      el("p", { class: "soft small", text: found.length ? "Same means: one class, and boxes that share at least half of what they cover, paired greedily." : "" }),
    ];
  }
  const [one] = answers.filter((answer) => answer.data);
  if (!one) return [el("p", { class: "bad" }, about, "no side has an answer to it.")];
  const alone = answers.length > 1 ? "Only one side answered, so nothing can be compared." : "";
  return [el("p", {}, about, `${NAMES[one.side]} sees ${one.boxes.length ? counted(one.boxes.length, "object") : "nothing"}. ${alone}`)];
}

function refusal(error) {
  return `${sentence(error.message)}${error.status ? ` (${error.status})` : ""}`;
}

function figure(answer, view, pictures) {
  const side = answer.side ?? "backend";
  const title = el("strong", { class: side, text: NAMES[side] ?? "The backend" });
  if (answer.error) {
    return el("figure", { "aria-label": side, class: "drop-figure" }, el("figcaption", {}, title, el("p", { class: "bad", text: `No answer: ${refusal(answer.error)}` })));
  }
  const { data, boxes } = answer;
  const words = `What ${NAMES[side]} sees: ${boxes.length ? boxes.slice(0, SHOWN).map((box) => box.label).join(", ") : "nothing"}`;
  const picture = boxedPicture(view.url, data.image, boxes, side, words);
  pictures.set(side, picture);
  return el("figure", { "aria-label": side, class: "drop-figure" }, picture.root, el("figcaption", {},
    title, ` ${counted(boxes.length, "object")} in ${milliseconds(data.timing_ms.total / 1000)}`,
    el("p", { class: "soft small", text: servedBy(data) })));
}

function servedBy({ served_by: by, timing_ms: timing, image }) {
  const model = by.model_version ? `, model ${by.model_version}` : "";
  const fallback = by.fallback_reason ? `; the other side was decided for, but ${REASONS[by.fallback_reason] ?? by.fallback_reason}` : "";
  const attempts = by.attempts > 1 ? `, ${by.attempts} attempts` : "";
  return `Served by ${NAMES[by.backend]} (${by.detector}${model}) ${WHY[by.reason] ?? by.reason}${fallback}${attempts}. `
    + `${milliseconds(timing.backend / 1000)} in the side itself; ${image.width} × ${image.height} pixels.`;
}

/** Every thing once, with what each side has of it; pointing at one shows it in the pictures. */
function list(served, found, size, pictures) {
  const all = found ?? served[0].boxes.map((box) => ({ kind: "", [served[0].side]: box }));
  const told = ({ kind, legacy, triton }) => (kind
    ? `legacy: ${described(legacy, size.width, size.height)}; Triton: ${described(triton, size.width, size.height)}`
    : described(legacy ?? triton, size.width, size.height));
  const items = all.slice(0, SHOWN).map((thing) => {
    const light = (lit) => pictures.forEach((picture, side) => picture.light(lit ? thing[side] ?? null : null));
    return el("li", {
      class: thing.kind && thing.kind !== "same" ? "differs" : "agrees", tabindex: "0",
      on: { pointerenter: () => light(true), pointerleave: () => light(false), focus: () => light(true), blur: () => light(false) },
    }, thing.kind ? el("span", { class: "kind", text: KINDS[thing.kind] }) : null, ` ${told(thing)}`);
  });
  const rest = all.length - items.length;
  return el("div", {}, el("ul", { class: "readings" }, items), rest > 0 ? el("p", { class: "soft small", text: `… and ${rest} more` }) : null);
}
