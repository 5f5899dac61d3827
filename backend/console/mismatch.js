/** One kept pair that differs: its picture, and both sides' boxes in words. The boxes are in the picture already. */

import { picture } from "./api.js";
import { el, replace } from "./dom.js";
import { KINDS, described, things } from "./matching.js";
import { when } from "./words.js";

/** The boxes of a side as the page speaks of them. */
function keptBoxes(rows, names) {
  return rows.map(([x1, y1, x2, y2, score, id]) => ({
    x: x1, y: y1, width: x2 - x1, height: y2 - y1, score, label: names?.[id] ?? `class ${id}`,
  }));
}

/** "Triton misses it: person" – what differs, in a line. */
export function summary(sample) {
  return `${sample.kinds.map((kind) => KINDS[kind] ?? kind).join(", ")}: ${sample.labels.join(", ")}`;
}

/** Where and when it was taken, in a line. */
export function origin(sample) {
  const camera = sample.camera ? `camera ${sample.camera}` : "no camera named";
  return `${when(sample.at)} · ${sample.detector} · ${camera}${sample.light ? ` · ${sample.light}` : ""}`;
}

/** What each side has of each thing, what differs first. */
export function readings(sample) {
  const found = things(keptBoxes(sample.legacy, sample.names), keptBoxes(sample.triton, sample.names));
  const told = (box) => described(box, sample.width, sample.height);
  const lines = found.map((thing) => ({ kind: judged(thing, sample), text: `legacy: ${told(thing.legacy)}; Triton: ${told(thing.triton)}` }));
  return [...lines.filter(({ kind }) => differs(kind)), ...lines.filter(({ kind }) => !differs(kind))];
}

/** The backend does not count what the other side has just under its threshold, and keeps no such box. */
function judged({ kind, legacy, triton }, sample) {
  if (kind === "same" || !Object.keys(sample.names ?? {}).length) return kind;
  const label = (legacy ?? triton).label;
  return sample.kinds.includes(kind) && sample.labels.includes(label) ? kind : "borderline";
}

function differs(kind) {
  return kind !== "same" && kind !== "borderline";
}

/**
 * Opens one pair of a list in a dialog; arrow keys lead to its neighbours.
 * @param {{all: function(): object[], id: string, actions: function(object): Element[]}} what the list as it is now
 */
export function openMismatch({ all, id, actions }) {
  const view = { id, url: null, asked: 0 };
  const title = el("h2", { id: "mismatch-title" });
  const image = el("img", { class: "mismatch-large", alt: "" });
  const note = el("p", { class: "soft", role: "status" });
  const about = el("div", { class: "mismatch-about" });
  const previous = el("button", { type: "button", text: "Newer", on: { click: () => move(-1) } });
  const next = el("button", { type: "button", text: "Older", on: { click: () => move(1) } });
  const more = el("div", { class: "mismatch-more" });
  const close = el("button", { type: "button", class: "primary", text: "Close", on: { click: () => dialog.close() } });
  const dialog = el("dialog", { class: "mismatch", "aria-labelledby": title.id },
    title, el("div", { class: "mismatch-frame" }, image, note), about, more,
    el("div", { class: "mismatch-actions" }, previous, next, close));

  const place = () => all().findIndex((one) => one.id === view.id);
  function move(by) {
    const wanted = all()[place() + by];
    if (wanted) show(wanted);
  }
  function show(sample) {
    view.id = sample.id;
    title.textContent = summary(sample);
    image.alt = `${summary(sample)}. Both sides' boxes are drawn: legacy solid, Triton dashed.`;
    image.setAttribute("width", sample.width);
    image.setAttribute("height", sample.height);
    replace(about, ...accountOf(sample));
    replace(more, ...actions(sample, () => dialog.close()));
    previous.disabled = place() <= 0;
    next.disabled = place() >= all().length - 1;
    load(sample);
  }
  async function load(sample) {
    const turn = ++view.asked;
    forget();
    note.textContent = "The picture is being fetched.";
    const [url, error] = await picture(sample.picture).then((found) => [found, null], (failed) => [null, failed]);
    if (turn !== view.asked || !dialog.isConnected) return url && URL.revokeObjectURL(url);
    view.url = url;
    note.textContent = error ? `The picture could not be fetched: ${error.message}.` : "";
    if (url) image.src = url;
    return null;
  }
  function forget() {
    image.removeAttribute("src");
    if (view.url) URL.revokeObjectURL(view.url);
    view.url = null;
  }
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); move(by); }
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { forget(); dialog.remove(); });
  document.body.append(dialog);
  show(all()[place()]);
  dialog.showModal();
  close.focus();
}

function accountOf(sample) {
  const lines = readings(sample).map(({ kind, text }) => el("li", { class: differs(kind) ? "differs" : "agrees" },
    el("span", { class: "kind", text: KINDS[kind] }), ` ${text}`));
  const version = sample.model_version ? `Triton's model ${sample.model_version}` : "";
  const ramp = sample.epoch ? "taken during a ramp" : "";
  return [
    el("p", { class: "soft small", text: [origin(sample), version, ramp].filter(Boolean).join(" · ") }),
    el("ul", { class: "readings" }, ...lines),
    el("p", { class: "soft small", text: "Boxes that share half of what they cover are read as one thing. Places are in pixels of this picture: left, top; width × height." }),
  ];
}
