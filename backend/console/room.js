/**
 * A browser opens six connections to a host and no more (HTTP/1.1), and each tab's line is one of them: with six tabs
 * open a seventh's roll back would wait for ever. Where no answer comes, tabs that nobody looks at give theirs up.
 */

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("crossfade-room") : null;

/** Asks the other tabs of this browser for room. */
export function askForRoom() {
  channel?.postMessage("room");
}

/** Calls `give` where another tab asks and nobody looks at this one. Returns how to end it. */
export function onAskedForRoom(give) {
  const asked = () => { if (document.hidden) give(); };
  channel?.addEventListener("message", asked);
  return () => channel?.removeEventListener("message", asked);
}

/** Until somebody looks at this tab; at once where somebody does. */
export function lookedAt() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => { document.addEventListener("visibilitychange", done, { once: true }); }).then(lookedAt);
}
