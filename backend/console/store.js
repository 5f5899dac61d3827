/** What is known, in one place: only what the backend said. A draft lives with whoever drafts it. */

export const MAX_TRAFFIC = 150;
const OWN_CHANGE_S = 3; // for so long another worker may still tell of the state before

/** `me`, `rollout` and `lostSince` are null while unknown; `since` is when `line` became what it is, in ms. */
export const state = {
  me: null,
  rollout: null,
  etag: null,
  looks: {},
  traffic: [],
  line: "connecting",
  lostSince: null,
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
      console.error(`a part of the page could not show "${topic}"`, error);
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
    else if (!ofThisRamp(state.looks[detector], ramp)) delete state.looks[detector];
  }
  emit("rollout");
  emit("look");
}

export function setLook(look) {
  state.looks[look.detector] = look;
  emit("look");
}

export function addTraffic(snapshot) {
  state.traffic = [...state.traffic, snapshot].slice(-MAX_TRAFFIC);
  emit("traffic");
}

/** "connecting", "live" or "lost"; lost stays lost since the first time. */
export function setLine(line, why = "") {
  if (line !== "lost") state.lostSince = null;
  else if (line === "lost" && state.lostSince === null) state.lostSince = Date.now();
  Object.assign(state, { line, why });
  emit("line");
}

/** Whether this key may change things. */
export function isAdmin() {
  return state.me?.role === "admin";
}

function ofThisRamp(look, ramp) {
  return look !== undefined && look.epoch.replace(/\.[^.]*$/, "") === ramp.id;
}
