/** Puts the page together: who is it, what may they see, and which part shows what. A part that fails fails alone. */

import { call, forgetKey, key, Lost, Problem, setKey, takeKeyFromLink } from "./api.js";
import { mountBanner, say, sentence, takeBack } from "./banner.js";
import { $, el, replace } from "./dom.js";
import { listen } from "./events.js";
import { addTraffic, heardNow, setLine, setLook, setMe, setRollout, state } from "./store.js";

const PARTS = [
  ["fader", "#panel-fader"], ["rollback", "#panel-switch"], ["traffic", "#panel-traffic"],
  ["ramp", "#panel-ramp"], ["gallery", "#panel-gallery"],
  ["history", "#panel-history"], ["drop", "#panel-drop"],
];
const RETRY_S = 2;
const FLAGS_WITHIN_S = 3; // of a line that stands
const HEARD = new Map(Object.entries({ rollout: setRollout, look: setLook, traffic: addTraffic }));
const NO_KEY = "That is no key: a key has 1 to 200 letters, digits and signs, and no blanks.";

let mounted = false;
let line = null;
let retry = null;
let saidFault = "";

async function begin() {
  clearTimeout(retry);
  $("#gate").hidden = true;
  $("#line").hidden = !key();
  if (!key()) return askForKey("The key that the backend made lies in var/admin-key.");
  try {
    setMe((await call("GET", "/api/me")).data);
  } catch (error) {
    return notLetIn(error);
  }
  takeBack("begin");
  if (state.me.role === "caller") {
    return askForKey(`Your key (${state.me.name}, caller) may detect, not look. Enter a viewer's or an admin's.`);
  }
  $("main").hidden = false;
  await mountParts();
  hearken();
}

function notLetIn(error) {
  if (error instanceof Problem && [401, 403].includes(error.status)) {
    forgetKey();
    return askForKey(sentence(error.detail));
  }
  setLine("lost", error.message);
  if (!(error instanceof Lost)) say({ kind: "error", text: error.message, id: "begin" });
  retry = setTimeout(begin, RETRY_S * 1000);
}

function hearken() {
  line?.stop();
  line = listen({
    onEvent: (name, data) => HEARD.get(name)?.(data),
    onHeard: heardNow,
    onUp() {
      if (state.line === "lost") lookAgain();
      setLine("live");
      setTimeout(askForFlags, FLAGS_WITHIN_S * 1000);
    },
    onDown(why, status) {
      setLine("lost", why);
      if (status === 401 || status === 403) {
        forgetKey();
        askForKey("The key is not taken any more.");
      }
    },
  });
}

/** A backend that comes back may be another version, and may know the key as somebody else's. */
async function lookAgain() {
  const before = state.me;
  const me = await call("GET", "/api/me").then(({ data }) => data, () => null); // a key that is refused ends the line too
  if (!me || me.role === "caller") return;
  setMe(me);
  if (me.console === before?.console) return;
  say({ kind: "warning", id: "version", text: "The backend was changed to another version; this page is of the one before.",
    action: { label: "Load this page again", run: () => location.reload() } });
}

/** A backend that never read its flags tells of none; asked, it says why. */
async function askForFlags() {
  if (state.rollout || state.line !== "live") return;
  try {
    setRollout((await call("GET", "/api/rollout")).data);
    takeBack("flags");
  } catch (error) {
    say({ kind: "error", id: "flags", text: `The flags are not known: ${sentence(error.message)}` });
    setTimeout(askForFlags, FLAGS_WITHIN_S * 1000);
  }
}

/** What fails in the page is no secret of its console; once, since what fails with one event fails with the next. */
function sayFault(fault) {
  const why = fault?.message ?? String(fault);
  if (why === saidFault) return;
  saidFault = why;
  say({ kind: "error", id: "fault", text: `A part of this page failed, and may show what is not so any more: ${why}`,
    action: { label: "Load this page again", run: () => location.reload() } });
}

async function mountParts() {
  if (mounted) return;
  mounted = true;
  await Promise.all(PARTS.map(async ([name, selector]) => {
    try {
      (await import(`./${name}.js`)).mount($(selector));
    } catch (error) {
      console.error(error);
      replace($(selector), el("p", { class: "failed", text: `This part of the page failed: ${error.message}` }));
    }
  }));
}

function askForKey(why) {
  line?.stop();
  setLine("connecting");
  setMe(null);
  $("#line").hidden = true;
  $("main").hidden = true;
  $("#gate").hidden = false;
  $("#gate-why").textContent = why;
  $("#gate-key").focus();
}

function enter(event) {
  event.preventDefault();
  const isKey = setKey($("#gate-key").value);
  $("#gate-key").value = "";
  if (isKey) begin();
  else askForKey(NO_KEY);
}

$("#gate form").addEventListener("submit", enter);
window.addEventListener("online", () => line?.again());
window.addEventListener("hashchange", () => { if (takeKeyFromLink()) location.reload(); }); // nothing of the key before stays
window.addEventListener("error", (event) => sayFault(event.error ?? event));
window.addEventListener("unhandledrejection", (event) => sayFault(event.reason));
takeKeyFromLink();
mountBanner();
begin();
