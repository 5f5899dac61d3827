/** Puts the page together: who is it, what may they see, and which part shows what. A part that fails fails alone. */

import { call, forgetKey, key, Lost, Problem, setKey, takeKeyFromLink } from "./api.js";
import { mountBanner, say, sentence } from "./banner.js";
import { $, el, replace } from "./dom.js";
import { listen } from "./events.js";
import { addTraffic, setLine, setLook, setMe, setRollout, state } from "./store.js";

const PARTS = [
  ["fader", "#panel-fader"], ["rollback", "#panel-switch"], ["traffic", "#panel-traffic"],
  ["ramp", "#panel-ramp"], ["gallery", "#panel-gallery"],
  ["history", "#panel-history"], ["drop", "#panel-drop"],
];
const RETRY_S = 2;
const HEARD = { rollout: setRollout, look: setLook, traffic: addTraffic };

let mounted = false;
let line = null;

async function begin() {
  $("#gate").hidden = true;
  $("#line").hidden = !key();
  if (!key()) return askForKey("The key that the backend made lies in var/admin-key.");
  try {
    setMe((await call("GET", "/api/me")).data);
  } catch (error) {
    return notLetIn(error);
  }
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
  setTimeout(begin, RETRY_S * 1000);
}

function hearken() {
  line?.stop();
  line = listen({
    onEvent: (name, data) => HEARD[name]?.(data),
    onUp: () => setLine("live"),
    onDown(why, status) {
      setLine("lost", why);
      if (status === 401 || status === 403) {
        forgetKey();
        askForKey("The key is not taken any more.");
      }
    },
  });
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
  const typed = $("#gate-key").value.trim();
  if (!typed) return;
  setKey(typed);
  $("#gate-key").value = "";
  begin();
}

$("#gate form").addEventListener("submit", enter);
window.addEventListener("online", () => line?.again());
window.addEventListener("hashchange", () => {
  takeKeyFromLink();
  if (!state.me) begin();
});
takeKeyFromLink();
mountBanner();
begin();
