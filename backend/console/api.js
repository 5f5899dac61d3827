/** The way to the backend. The key travels as a header, never in an address, and is forgotten with the tab. */

const KEY = "crossfade-key";
const TIMEOUT_S = 10;
const AGAIN_AFTER_S = 4; // a worker that is well confirms a roll back within three, or says who did not
const TRIES = 4;
const PAUSE_MS = 400;

/** What the backend refused, in its own words. */
export class Problem extends Error {
  constructor(status, { title = "", detail = "" } = {}, etag = null) {
    super(detail || title || `the backend answered ${status}`);
    Object.assign(this, { name: "Problem", status, title, detail: this.message, etag });
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

export function setKey(text) {
  sessionStorage.setItem(KEY, text);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/** Takes a key out of the link's fragment, and the fragment out of the address bar. */
export function takeKeyFromLink() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (!found) return;
  history.replaceState(null, "", location.pathname + location.search);
  setKey(decoded(found[1]));
}

/**
 * `{status, headers, data}` of an answer; `json` or `body` is sent, `params` go into the query.
 * Throws Problem from 400 on, and Lost where no answer came.
 */
export async function call(method, path, { json, body, headers = {}, params, timeoutS = TIMEOUT_S } = {}) {
  const response = await reached(address(path, params), {
    method,
    headers: withKey(json === undefined ? headers : { "Content-Type": "application/json", ...headers }),
    body: json === undefined ? body : JSON.stringify(json),
    signal: AbortSignal.timeout(timeoutS * 1000),
  }, timeoutS);
  const data = await inTime(read(response), timeoutS);
  if (!response.ok) throw new Problem(response.status, data ?? {}, response.headers.get("ETag"));
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
export async function picture(path) {
  const signal = AbortSignal.timeout(TIMEOUT_S * 1000);
  const response = await reached(path, { headers: withKey(), signal }, TIMEOUT_S);
  if (!response.ok) throw new Problem(response.status, (await read(response)) ?? {});
  return URL.createObjectURL(await inTime(response.blob(), TIMEOUT_S));
}

/** The headers of a request, with the key where there is one. */
export function withKey(headers = {}) {
  return key() ? { ...headers, "X-API-Key": key() } : headers;
}

async function reached(path, request, timeoutS) {
  return inTime(fetch(path, { cache: "no-store", credentials: "omit", redirect: "error", ...request }), timeoutS);
}

async function inTime(work, timeoutS) {
  try {
    return await work;
  } catch (error) {
    if (error.name === "TimeoutError") throw new Lost(`no answer in ${timeoutS} s`);
    throw new Lost("the backend was not reached");
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : null;
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
