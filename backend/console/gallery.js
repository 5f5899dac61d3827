/**
 * The pairs that differ, newest first, each with its picture; filters, one in large, and removal by camera.
 *
 * Pictures travel with the key, as blobs, and only once they come into sight. What comes in while somebody looks is
 * offered, not pushed in: nothing moves under a finger.
 */

import { call, picture } from "./api.js";
import { sayFailed, say } from "./banner.js";
import { ask } from "./dialog.js";
import { el, replace, write } from "./dom.js";
import { KINDS } from "./matching.js";
import { openMismatch, origin, summary } from "./mismatch.js";
import { isAdmin, on, state } from "./store.js";
import { counted } from "./words.js";

const PATH = "/api/rollout/samples";
const PAGE = 12;
const READ = 100; // at least, to know which classes and cameras there are to choose from
const MOST = 1000; // the backend lists no more
const LOOK_S = 10; // between two looks for newer ones

/** Shows the gallery in `root`, as long as the page lives. */
export function mount(root) {
  const gallery = { samples: [], shown: PAGE, newer: [], classes: new Set(), cameras: new Set(), compared: null, lookedAt: 0, failed: "" };
  const parts = partsOf(gallery);
  replace(root, parts.bar, parts.fresh, parts.status, parts.grid, parts.more, parts.removal);
  on("me", () => { refill(parts.detector, state.me?.detectors ?? [], "all"); showRemoval(gallery, parts); });
  on("traffic", () => lookForNewer(gallery, parts));
  on("line", () => { if (state.line === "live" && parts.grid.querySelector(".no-picture")) load(gallery, parts); });
  on("rollout", () => { if (gallery.turn && !gallery.samples.length) show(gallery, parts); });
  load(gallery, parts);
}

function partsOf(gallery) {
  const parts = {
    status: el("div", { class: "gallery-status", role: "status" }),
    grid: el("div", { class: "gallery" }),
    removal: el("div", { class: "gallery-removal" }),
    detector: el("select"), label: el("select"), kind: el("select"),
  };
  const again = () => { gallery.shown = PAGE; load(gallery, parts); };
  for (const select of [parts.detector, parts.label, parts.kind]) select.addEventListener("change", again);
  for (const select of [parts.detector, parts.label]) refill(select, [], "all");
  refill(parts.kind, ["missed", "extra", "swapped", "misplaced", "duplicate"], "all", (kind) => KINDS[kind]);
  const field = (name, select) => {
    select.setAttribute("aria-label", name); // else the name would hold every choice
    return el("label", { class: "filter" }, el("span", { text: name }), select);
  };
  parts.bar = el("div", { class: "filters" }, field("Detector", parts.detector), field("Class", parts.label), field("Kind", parts.kind));
  parts.fresh = el("button", { type: "button", class: "fresh", hidden: true, on: { click: () => load(gallery, parts) } });
  parts.more = el("button", { type: "button", text: "Show more", hidden: true, on: { click: () => { gallery.shown += PAGE; load(gallery, parts); } } });
  parts.seen = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach((one) => {
    parts.seen.unobserve(one.target);
    fill(one.target);
  }), { rootMargin: "300px" });
  return parts;
}

// --- what there is ------------------------------------------------------------------------------------------

async function listed(parts, limit) {
  const params = { detector: parts.detector.value, class: parts.label.value, kind: parts.kind.value, limit };
  return (await call("GET", PATH, { params })).data.samples;
}

/** More than is shown is asked for, to know whether there is more. An answer that was overtaken is dropped. */
async function load(gallery, parts) {
  const turn = gallery.turn = (gallery.turn ?? 0) + 1;
  try {
    const found = await listed(parts, Math.min(MOST, Math.max(READ, gallery.shown + 1)));
    if (turn !== gallery.turn) return;
    gallery.failed = "";
    gallery.samples = found;
    gallery.newer = [];
  } catch (error) {
    if (turn !== gallery.turn) return;
    gallery.failed = error.message;
  }
  show(gallery, parts);
}

/** After a comparison that was not the same, and not too often; an empty gallery is filled at once. */
async function lookForNewer(gallery, parts) {
  const compared = differing();
  const now = performance.now();
  if (gallery.compared !== null && compared === gallery.compared && !gallery.failed) return;
  if (now - gallery.lookedAt < LOOK_S * 1000 || document.hidden || gallery.turn === undefined) return;
  Object.assign(gallery, { compared, lookedAt: now });
  if (!gallery.samples.length || gallery.failed) return load(gallery, parts);
  const turn = gallery.turn;
  const found = await listed(parts, PAGE).catch(() => []);
  if (turn !== gallery.turn) return;
  const newest = gallery.samples[0]?.id ?? "";
  gallery.newer = found.filter((one) => one.id > newest);
  showFresh(gallery, parts);
}

function differing() {
  const detectors = Object.values(state.traffic.at(-1)?.detectors ?? {});
  return detectors.reduce((sum, one) => sum + (one.compared?.different ?? 0), 0);
}

// --- showing it ---------------------------------------------------------------------------------------------

function show(gallery, parts) {
  const samples = gallery.samples.slice(0, gallery.shown);
  for (const one of gallery.samples) {
    one.labels.forEach((label) => gallery.classes.add(label));
    if (one.camera) gallery.cameras.add(one.camera);
  }
  refill(parts.label, [...gallery.classes].sort(), "all");
  const shownAlready = [...parts.grid.children].filter((figure) => figure.querySelector("img")); // what came to nothing is tried again
  const known = new Map(shownAlready.map((figure) => [figure.dataset.id, figure]));
  const figures = samples.map((one) => known.get(one.id) ?? figureOf(one, gallery, parts));
  for (const [id, figure] of known) if (!samples.some((one) => one.id === id)) forget(figure);
  replace(parts.grid, ...figures);
  parts.more.hidden = gallery.samples.length <= gallery.shown || gallery.shown >= MOST;
  replace(parts.status, ...statusOf(gallery, parts, samples));
  showFresh(gallery, parts);
  showRemoval(gallery, parts);
}

function showFresh(gallery, parts) {
  const number = gallery.newer.length;
  parts.fresh.hidden = !number;
  write(parts.fresh, number ? `Show ${number >= PAGE ? `${number} or more` : number} newer` : "");
}

function statusOf(gallery, parts, samples) {
  if (gallery.failed) return [el("p", { class: "bad", text: `The mismatches could not be read: ${gallery.failed}.` })];
  if (samples.length) return [el("p", { class: "soft small", text: `${counted(samples.length, "pair")}${parts.more.hidden ? "" : ", and there are more"}. In the pictures legacy is solid and Triton dashed; thick lines differ.` })];
  if ([parts.detector, parts.label, parts.kind].some((select) => select.value)) {
    return [el("p", { text: "No kept pair is of this kind. Choose “all” to see every pair." })];
  }
  return [emptyWords()];
}

/** Why there may be none: nobody compares, nothing was compared yet, all agreed, or none are kept. */
function emptyWords() {
  const compared = Object.values(state.traffic.at(-1)?.detectors ?? {}).flatMap((one) => Object.values(one.compared ?? {}));
  const number = compared.reduce((sum, one) => sum + one, 0);
  const shadow = state.rollout?.shadow;
  const why = [
    shadow === 0 ? "No request is compared: the share that is compared is 0 %." : "",
    number ? `${counted(number, "request")} were chosen for a comparison since the backend began${differing() ? "" : ", and none differed"}.` : "Nothing was compared yet since the backend began.",
    "Pictures are kept only while SHADOW_SAMPLES is over 0; they go by age, by room, and when somebody deletes them.",
  ];
  return el("div", { class: "empty" }, el("p", { text: "No mismatches are kept." }), el("ul", {}, ...why.filter(Boolean).map((text) => el("li", { text }))));
}

function figureOf(sample, gallery, parts) {
  const image = el("img", { alt: "", width: sample.width, height: sample.height, decoding: "async", "data-path": sample.picture });
  const open = el("button", {
    type: "button", class: "mismatch-open", "aria-label": `Show in large: ${summary(sample)}, ${origin(sample)}`,
    on: { click: () => openMismatch({ all: () => gallery.samples.slice(0, gallery.shown), id: sample.id, actions: (one, close) => removalOf(one, close, gallery, parts) }) },
  }, image);
  parts.seen.observe(image);
  return el("figure", { class: "mismatch-small", "data-id": sample.id }, open, el("figcaption", {},
    el("strong", { text: summary(sample) }),
    el("span", { class: "soft", text: origin(sample), title: new Date(sample.at * 1000).toISOString() })));
}

async function fill(image) {
  try {
    const url = await picture(image.dataset.path);
    if (!image.isConnected) return URL.revokeObjectURL(url);
    image.src = url;
  } catch (error) {
    image.parentElement?.replaceChildren(el("span", { class: "no-picture", text: `no picture: ${error.message}` }));
  }
  return null;
}

function forget(figure) {
  const image = figure.querySelector("img");
  if (image?.src) URL.revokeObjectURL(image.src);
}

/** The choices of a select, keeping what is chosen; nothing where they are as before. */
function refill(select, values, all, words = (value) => value) {
  const wanted = [["", all], ...values.map((value) => [value, words(value)])];
  const before = [...select.options].map((one) => one.value);
  if (before.length === wanted.length && wanted.every(([value], index) => value === before[index])) return;
  const chosen = select.value;
  replace(select, ...wanted.map(([value, text]) => el("option", { value, text })));
  select.value = wanted.some(([value]) => value === chosen) ? chosen : "";
}

// --- removing -------------------------------------------------------------------------------------------------

function showRemoval(gallery, parts) {
  if (!isAdmin() || !gallery.cameras.size) return replace(parts.removal);
  const cameras = [...gallery.cameras].sort();
  const select = parts.removal.querySelector("select") ?? el("select");
  refill(select, cameras, "every camera");
  if (select.isConnected) return select;
  return replace(parts.removal, el("details", {}, el("summary", { text: "Delete pictures" }),
    el("div", { class: "filters" },
      el("label", { class: "filter" }, el("span", { text: "Of camera" }), select),
      el("button", { type: "button", text: "Delete…", on: { click: () => remove(select.value, gallery, parts) } }))));
}

function removalOf(sample, close, gallery, parts) {
  if (!isAdmin() || !sample.camera) return [];
  const text = `Delete all of camera ${sample.camera}…`;
  return [el("button", { type: "button", text, on: { click: async () => { if (await remove(sample.camera, gallery, parts)) close(); } } })];
}

/** Whether it was tried: what came of it is said in the page, which the picture's dialog would hide. */
async function remove(camera, gallery, parts) {
  const whose = camera ? `camera ${camera}` : "every camera";
  const answer = await ask({
    title: `Delete all pictures of ${whose}?`, kind: "warning",
    body: [el("p", { text: "They are removed for good, for everybody, and nothing brings them back. What was counted stays." })],
    actions: [{ label: "Delete for good", value: "yes", kind: "danger" }, { label: "Cancel", value: "" }],
  });
  if (answer !== "yes") return false;
  try {
    const { data } = await call("DELETE", PATH, { params: camera ? { camera } : { all: "true" } });
    say({ kind: "info", text: `${counted(data.removed, "picture")} of ${whose} deleted.` });
    if (camera) gallery.cameras.delete(camera);
    else gallery.cameras.clear();
  } catch (error) {
    sayFailed("The pictures were not deleted", error);
  }
  await load(gallery, parts);
  return true;
}
