/** What is known, in one place: only what the backend said. A draft lives with whoever drafts it. */

import { KEPT_S, WINDOW_S } from "./rates.js";

const OWN_CHANGE_S = 3; // for so long another worker may still tell of the state before

/**
 * `me`, `rollout` and `lostSince` are null while unknown; `heardAt` is when the line last said anything, in ms, and
 * `aheadS` how far the backend's clock is before this one's.
 */
export const state = {
  me: null,
  rollout: null,
  etag: null,
  looks: Object.create(null),
  traffic: [],
  aheadS: 0,
  line: "connecting",
  lostSince: null,
  heardAt: null,
  why: "",
};

const heard = new Map();
let own = { version: -1, until: 0 };

/** Calls `f(state)` whenever one of the topics changes, and once at once: "me rollout". Returns how to end it. */
export function on(topics, f) {
  const names = topics.split(" ");
  for (const topic of names) heard.set(topic, [...(heard.get(topic) ?? []), f]);
  f(state);
  return () => {
    for (const topic of names) heard.set(topic, heard.get(topic).filter((one) => one !== f));
  };
}

/** Tells those who listen to a topic. One that fails does not keep it from the others. */
export function emit(topic) {
  for (const f of heard.get(topic) ?? []) {
    try {
      f(state);
    } catch (error) {
      reportError(error); // main.js says it: what this part shows may be old
    }
  }
}

export function setMe(me) {
  state.me = me;
  emit("me");
}

/** The document of the rollout; `mine` where it answers a change that was made here. */
export function setRollout(rollout, { mine = false } = {}) {
  if (mine) own = { version: rollout.version, until: Date.now() + OWN_CHANGE_S * 1000 };
  else if (rollout.version < own.version && Date.now() < own.until) return;
  state.rollout = rollout;
  state.etag = `"v${rollout.version}"`;
  for (const [detector, ramp] of Object.entries(rollout.ramps)) {
    if (ramp.look) state.looks[detector] = ramp.look;
    else if (state.looks[detector] && !isOf(state.looks[detector], ramp)) delete state.looks[detector];
  }
  emit("rollout");
  emit("look");
}

export function setLook(look) {
  state.looks[look.detector] = look;
  emit("look");
}

/** Only of the last minutes, by the backend's clock: neither from before a night's sleep nor from after it was set back. */
export function addTraffic(snapshot) {
  const since = snapshot.at - KEPT_S - WINDOW_S;
  state.traffic = [...state.traffic.filter((one) => one.at > since && one.at < snapshot.at), snapshot];
  state.aheadS = snapshot.at - Date.now() / 1000;
  emit("traffic");
}

/** What the backend's clock says, in unix seconds: how long ago something was there is told by its clock alone. */
export function backendNow() {
  return Date.now() / 1000 + state.aheadS;
}

/** "connecting", "live" or "lost"; lost stays lost since the first time. */
export function setLine(line, why = "") {
  if (line !== "lost") state.lostSince = null;
  else if (state.lostSince === null) state.lostSince = state.heardAt ?? Date.now();
  if (line === "live") heardNow();
  Object.assign(state, { line, why });
  emit("line");
}

/** The line said something. */
export function heardNow() {
  state.heardAt = Date.now();
}

/** Whether this key may change things. */
export function isAdmin() {
  return state.me?.role === "admin";
}

/** Not of the ramp before this one. */
export function isOf(look, ramp) {
  return look.epoch.replace(/\.[^.]*$/, "") === ramp.id;
}
