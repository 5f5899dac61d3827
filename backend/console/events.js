/** Server-sent events by fetch, since an EventSource carries no key. Comes back by itself, later each time. */

import { fetched, parsed } from "./api.js";
import { lookedAt, onAskedForRoom } from "./room.js";

const PATH = "/api/rollout/events";
const STREAM = "text/event-stream";
const SILENCE_S = 25; // the backend says something every 10 s
const RETRY_S = 2;
const MAX_RETRY_S = 10;

/**
 * Listens until `stop` of what it returns is called. `onUp()` when the line stands, `onHeard()` whenever anything came,
 * `onDown(why, status)` when it fell; a key that is refused (401, 403) is not tried again.
 */
export function listen(told) {
  const line = { stopped: false, gaveRoom: false, abort: null, wake: null };
  const keep = onAskedForRoom(() => { line.gaveRoom = true; line.abort?.abort(); });
  keepListening(line, told);
  return {
    stop() {
      line.stopped = true;
      keep();
      line.abort?.abort();
      line.wake?.();
    },
    again() {
      line.wake?.();
    },
  };
}

async function keepListening(line, told) {
  for (let failures = 0; !line.stopped; ) {
    const ended = await listenOnce(line, { ...told, onUp: () => { failures = 0; told.onUp(); } });
    if (line.stopped) return;
    told.onDown(ended.why, ended.status);
    if (ended.status === 401 || ended.status === 403) return;
    if (line.gaveRoom) {
      await lookedAt();
      line.gaveRoom = false;
    } else await sleep(line, Math.min(MAX_RETRY_S, RETRY_S * 1.5 ** failures));
    failures += 1;
  }
}

async function listenOnce(line, told) {
  line.abort = new AbortController();
  const watch = silenceWatch(line.abort, told.onHeard);
  try {
    const response = await fetched(PATH, { signal: line.abort.signal });
    if (!response.ok) return { status: response.status, why: `the backend answered ${response.status}` };
    if (!response.headers.get("Content-Type")?.startsWith(STREAM)) return { why: "something else than the backend answers here" };
    told.onUp();
    await readStream(response.body, watch, told.onEvent);
    return { why: "the backend ended the line" };
  } catch {
    if (line.gaveRoom) return { why: "another tab needed the connection, and nobody looked at this one" };
    return { why: watch.silent ? `nothing was heard for ${SILENCE_S} s` : "the backend was not reached" };
  } finally {
    watch.end();
    line.abort.abort(); // a line that was given up is closed, not left to the server
  }
}

async function readStream(body, watch, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const feed = frames(onEvent);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    watch.heard();
    feed(value);
  }
}

/** Frames out of pieces, wherever they were cut: `feed(text)`. */
export function frames(onEvent) {
  let rest = "";
  return (text) => {
    const parts = (rest + text).replaceAll("\r\n", "\n").split("\n\n");
    rest = parts.pop();
    for (const part of parts) tell(part, onEvent);
  };
}

function tell(frame, onEvent) {
  const fields = { event: "message", id: "", data: [] };
  for (const line of frame.split("\n")) {
    const at = line.indexOf(":");
    if (at <= 0) continue; // a comment, which only says that the line stands
    const [name, value] = [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
    if (name === "data") fields.data.push(value);
    else fields[name] = value;
  }
  if (!fields.data.length) return;
  try {
    onEvent(fields.event, parsed(fields.data.join("\n")), fields.id);
  } catch (error) {
    reportError(error); // one that fails must not end the line
  }
}

/** By the clock on the wall: the other one stands still while the machine sleeps, and the line is dead when it wakes. */
function silenceWatch(abort, onHeard) {
  const watch = { silent: false, heardAt: Date.now() };
  const timer = setInterval(() => {
    if (Math.abs(Date.now() - watch.heardAt) < SILENCE_S * 1000) return;
    watch.silent = true;
    abort.abort();
  }, 1000);
  watch.heard = () => { watch.heardAt = Date.now(); onHeard(); };
  watch.end = () => clearInterval(timer);
  return watch;
}

function sleep(line, seconds) {
  return new Promise((done) => {
    const timer = setTimeout(done, seconds * 1000);
    line.wake = () => { clearTimeout(timer); done(); };
  });
}
