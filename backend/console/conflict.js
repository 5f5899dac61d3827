/** A lost update: who changed what meanwhile, what was wanted here, and the way out that needs nobody's agreement. */

import { callAgain } from "./api.js";
import { ask, bullets } from "./dialog.js";
import { el } from "./dom.js";
import { differences, when } from "./words.js";

const MOST_SHOWN = 5;

/** Answers "mine", "theirs" or "roll back"; Escape keeps theirs. `since` is the state that was seen here. */
export async function askAboutConflict({ since, wanted }) {
  const changes = await changesSince(since.version);
  return (await ask({
    title: "Somebody changed the rollout meanwhile",
    role: "alertdialog",
    kind: "conflict",
    body: [
      el("p", { text: "Your change was not made. Since you looked:" }),
      changes ? el("ul", { class: "changes" }, changes.slice(0, MOST_SHOWN).map(told))
        : el("p", { class: "soft", text: "The history cannot be read at the moment." }),
      changes?.length > MOST_SHOWN && el("p", { class: "soft", text: `and ${changes.length - MOST_SHOWN} more before.` }),
      el("p", { text: "You wanted:" }), bullets(wanted, "wanted"),
      el("p", { class: "soft", text: "A roll back takes everything off Triton at once, whatever anybody changed." }),
    ],
    actions: [
      { label: "Roll back everything now", value: "roll back", kind: "danger" },
      { label: "Keep theirs", value: "theirs" }, // has the focus: whoever hits Enter unread changes nothing
      { label: "Apply mine on top", value: "mine", kind: "primary" },
    ],
  })) ?? "theirs";
}

async function changesSince(version) {
  try {
    const { data } = await callAgain("GET", "/api/rollout/history", { params: { limit: 20 } });
    return data.changes.filter((one) => one.version > version);
  } catch {
    return null;
  }
}

function told(one) {
  const what = differences(one.before, one.after);
  return el("li", {}, el("strong", { text: one.who }), ` at ${when(one.at)}: `,
    what.length ? what.join(", ") : "nothing that is shown here", one.reason && el("q", { text: one.reason }));
}
