/** The crossfader: legacy on the left, Triton on the right. Moving it drafts; only Apply asks the backend. */

import { failure, sayFailed } from "./banner.js";
import { change, seenNow } from "./change.js";
import { bullets, reasonField, reasonOf } from "./dialog.js";
import { el, replace, write } from "./dom.js";
import {
  askedOf, emptyDraft, FOLLOW, isEmpty, isSame, patchOf, preview, sharesAfter, withAll, withOwn, withoutIdle,
} from "./draft.js";
import { outcome } from "./rolling.js";
import { isAdmin, on, state } from "./store.js";
import { track } from "./track.js";
import { percent, shares } from "./words.js";

const DEFAULT_REASON = "moved in the console";

let draft = emptyDraft();

/** The panel of the shares. */
export function mount(root) {
  const view = { master: masterRow(), rows: new Map(), list: el("div", { class: "own-shares" }), send: sendForm() };
  replace(root, view.master.element, view.list, view.send.element);
  view.send.show = () => show(view);
  on("rollout me", () => show(view));
  on("outcome", () => { if (outcome?.stage === "asking") moved(emptyDraft()); }); // nobody sends a draft of before by mistake
}

function masterRow() {
  const legacy = el("strong", { class: "legacy big", text: "–" });
  const triton = el("strong", { class: "triton big", text: "–" });
  const note = el("p", { class: "small soft note" });
  const fader = track("Share of Triton, all detectors", (share) => moved(withAll(draft, share, seenNow())), true);
  const element = el("div", { class: "master" },
    el("div", { class: "sides", "data-live": true },
      el("p", {}, el("span", { class: "side legacy", text: "Legacy" }), legacy),
      el("p", { class: "small soft between", text: "of the requests, now" }),
      el("p", {}, el("span", { class: "side triton", text: "Triton" }), triton)),
    fader.element, note);
  return { element, legacy, triton, note, fader };
}

function detectorRow(name) {
  const fader = track(`Share of Triton, ${name}`, (share) => moved(withOwn(draft, name, share, seenNow())));
  const chip = el("span", { class: "chip" });
  const now = el("span", { class: "now", "data-live": true });
  const follow = el("button", { type: "button", class: "quiet", text: "Follow all", "aria-label": `Follow all: ${name}`,
    on: { click: () => moved(withOwn(draft, name, FOLLOW, seenNow())) } });
  const element = el("div", { class: "own-share" },
    el("p", { class: "name" }, el("strong", { text: name }), chip, follow, now), fader.element);
  return { element, fader, chip, now, follow };
}

function sendForm() {
  const [reason, label] = reasonField("Reason");
  reason.placeholder = DEFAULT_REASON;
  const lines = el("div", { class: "preview" });
  const apply = el("button", { type: "submit", class: "primary", text: "Apply" });
  const discard = el("button", { type: "button", text: "Discard", on: { click: () => moved(emptyDraft()) } });
  const failed = el("p", { class: "bad", role: "alert" });
  const send = { reason, lines, apply, failed, busy: false, show: null };
  send.element = el("form", { class: "draft", hidden: true, on: { submit: (event) => { event.preventDefault(); applyDraft(send); } } },
    lines, label, el("div", { class: "actions" }, apply, discard), failed);
  redraw = () => send.show();
  return send;
}

let redraw = () => {};

function moved(next) {
  if (!state.rollout) return;
  draft = withoutIdle(next, state.rollout);
  redraw();
}

async function applyDraft(send) {
  if (isEmpty(draft) || send.busy) return;
  const sent = draft;
  const { detectors } = state.me;
  setBusy(send, true);
  write(send.failed, "");
  try {
    const answer = await change({
      patchOf: (rollout) => patchOf(sent, rollout),
      reason: reasonOf(send.reason) || DEFAULT_REASON,
      seen: sent.seen,
      wanted: (now) => preview(sent, now, detectors),
    });
    if (answer === "done" || answer === "rolled back") send.reason.value = "";
    if (isSame(draft, sent)) draft = emptyDraft(); // what was moved meanwhile is not sent yet
    else if (answer === "done" && !isEmpty(draft)) draft = { ...draft, seen: seenNow() }; // nobody was between the two
  } catch (error) {
    write(send.failed, `${failure("Not applied", error)} The draft is kept.`);
    if (error.status === 401 || error.status === 403) sayFailed("The shares were not changed", error);
  } finally {
    setBusy(send, false);
    redraw();
  }
}

/** Not disabled: that would take the keyboard away from it. */
function setBusy(send, busy) {
  send.busy = busy;
  send.apply.setAttribute("aria-disabled", busy);
  write(send.apply, busy ? "Applying…" : "Apply");
}

// --- what is shown ---------------------------------------------------------------------------------------

function show(view) {
  const { rollout, me } = state;
  if (!rollout || !me) return;
  if (!isEmpty(draft)) draft = withoutIdle(draft, rollout);
  const after = sharesAfter(draft, rollout, me.detectors);
  showMaster(view.master, rollout, me.detectors);
  rowsOf(view, me.detectors).forEach(([name, row]) => showRow(row, name, rollout, after[name]));
  showSend(view.send, rollout, me.detectors, view.master.fader.slider);
}

function rowsOf(view, detectors) {
  if (String([...view.rows.keys()]) !== String(detectors)) {
    view.rows = new Map(detectors.map((name) => [name, detectorRow(name)]));
    replace(view.list, [...view.rows.values()].map((row) => row.element));
  }
  return [...view.rows];
}

function showMaster(master, rollout, detectors) {
  const effective = detectors.map((name) => rollout.effective[name]);
  write(master.triton, shares(effective));
  write(master.legacy, shares(effective.map((share) => (share === undefined ? share : 1 - share))));
  write(master.note, offWords(rollout));
  master.fader.show({ drafted: draft.all, asked: rollout.fraction, effective, enabled: isAdmin() });
}

function offWords(rollout) {
  if (rollout.kill_switch) return "The kill switch is thrown: these shares hold when it is lifted.";
  if (!rollout.enabled) return "Triton is switched off: these shares hold when it is allowed again.";
  return "";
}

function showRow(row, name, rollout, after) {
  const own = name in rollout.overrides;
  const drafted = draft.own[name] ?? null;
  const asked = askedOf(name, rollout);
  row.fader.show({ drafted: after === asked ? null : after, asked, effective: [rollout.effective[name]], enabled: isAdmin() });
  write(row.chip, own ? "own share" : "follows all");
  row.follow.hidden = !own || drafted === FOLLOW || !isAdmin();
  write(row.now, `now ${percent(rollout.effective[name])}`);
}

function showSend(send, rollout, detectors, home) {
  const empty = isEmpty(draft);
  if (empty && send.element.contains(document.activeElement)) home.focus();
  if (send.element.hidden !== empty) send.element.hidden = empty;
  if (empty) return write(send.failed, "");
  const changed = draft.seen.rollout.version < rollout.version;
  return replace(send.lines,
    el("h3", { text: "Not sent yet" }), bullets(preview(draft, rollout, detectors)),
    changed && el("p", { class: "warn small", text: "Somebody changed the rollout since you began; Apply will ask." }),
    sharesAreZero(rollout, detectors) && el("p", { class: "small", text: "To take everything off Triton at once, Roll back is quicker: it asks nobody." }));
}

function sharesAreZero(rollout, detectors) {
  return Object.values(sharesAfter(draft, rollout, detectors)).every((share) => share === 0);
}
