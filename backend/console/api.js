/** The way to the backend. The key travels as a header, never in an address, and is forgotten with the tab. */

import { askForRoom } from "./room.js";

const KEY = "crossfade-key";
const A_KEY = /^[!-~]{1,200}$/; // what a header can carry, and the backend takes
const TIMEOUT_S = 10;
const AGAIN_AFTER_S = 4; // a worker that is well confirms a roll back within three, or says who did not
const TRIES = 4;
const PAUSE_MS = 400;
const STRANGER = "something else than the backend answers here: a proxy's page, or another program";

/** What the backend refused, in its own words. */
export class Problem extends Error {
  constructor(status, document) {
    const { title, detail } = document ?? {};
    super(detail || title || `the backend answered ${status}`);
    Object.assign(this, { name: "Problem", status, document: document ?? {} });
  }
}

/** The backend was not reached, or gave no answer in time: nobody knows whether it did what was asked. */
export class Lost extends Error {
  constructor(why) {
    super(why);
    this.name = "Lost";
  }
}

/** The key of this tab, or null. */
export function key() {
  return sessionStorage.getItem(KEY);
}

/** Whether it can be one; what cannot is not kept. */
export function setKey(text) {
  const trimmed = text.trim();
  const isKey = A_KEY.test(trimmed);
  if (isKey) sessionStorage.setItem(KEY, trimmed);
  return isKey;
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/** Takes a key out of the link's fragment, and the fragment out of the address bar. Whether it was another one. */
export function takeKeyFromLink() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (!found) return false;
  history.replaceState(null, "", location.pathname + location.search);
  const before = key();
  return setKey(decoded(found[1])) && key() !== before;
}

/**
 * `{status, headers, data}` of an answer; `json` or `body` is sent, `params` go into the query.
 * Throws Problem from 400 on, and Lost where no answer came.
 */
export async function call(method, path, { json, body, headers = {}, params, timeoutS = TIMEOUT_S } = {}) {
  const response = await reached(address(path, params), {
    method,
    headers: json === undefined ? headers : { "Content-Type": "application/json", ...headers },
    body: json === undefined ? body : JSON.stringify(json),
    signal: AbortSignal.timeout(timeoutS * 1000),
  }, timeoutS);
  const data = await inTime(read(response), timeoutS);
  if (!response.ok) throw new Problem(response.status, data);
  if (data === null) throw new Problem(response.status, { detail: STRANGER });
  return { status: response.status, headers: response.headers, data };
}

/**
 * The same for what may be asked twice: where no answer comes, on a new connection, which may meet a worker that is
 * well. `onLost(error, tries)` hears of each try that was lost.
 */
export async function callAgain(method, path, options = {}, onLost = () => {}) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call(method, path, { timeoutS: AGAIN_AFTER_S, ...options });
    } catch (error) {
      if (!(error instanceof Lost) || tries === TRIES) throw error;
      onLost(error, tries);
      await new Promise((done) => { setTimeout(done, PAUSE_MS); });
    }
  }
}

/** A picture as a blob's address, since an `<img>` carries no key. Whoever asked for it revokes it. */
export async function picture(path, timeoutS = TIMEOUT_S) {
  const response = await reached(path, { signal: AbortSignal.timeout(timeoutS * 1000) }, timeoutS);
  if (!response.ok) throw new Problem(response.status, await inTime(read(response), timeoutS));
  return URL.createObjectURL(await inTime(response.blob(), timeoutS));
}

/** A fetch with the key where there is one, which leaves nothing behind and follows nobody elsewhere. */
export function fetched(path, { headers = {}, ...request } = {}) {
  const all = key() ? { ...headers, "X-API-Key": key() } : headers;
  return fetch(path, { cache: "no-store", credentials: "omit", redirect: "error", headers: all, ...request });
}

/** JSON whose tables hold what they say and nothing else: a camera may be called "constructor". */
export function parsed(text) {
  const bare = (_, value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? Object.setPrototypeOf(value, null) : value);
  return JSON.parse(text, bare);
}

async function reached(path, request, timeoutS) {
  return inTime(fetched(path, request), timeoutS);
}

async function inTime(work, timeoutS) {
  try {
    return await work;
  } catch (error) {
    if (error.name !== "TimeoutError") throw new Lost("the backend was not reached");
    askForRoom();
    throw new Lost(`no answer in ${timeoutS} s`);
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return text ? parsed(text) : null;
  } catch {
    return null; // a proxy's own page
  }
}

function address(path, params = {}) {
  const known = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return known.length ? `${path}?${new URLSearchParams(known)}` : path;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a per cent sign that stands for itself
  }
}
