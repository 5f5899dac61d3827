/** Dialogs: the browser's own, which keep the keyboard inside, close with Escape and give the focus back. */

import { el } from "./dom.js";

const UNREAD_MS = 500; // an Enter that comes so soon was meant for the button before
const NO_TEXT = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu; // which the backend refuses in a reason

let titles = 0;

/**
 * Opens a dialog and answers the value of the button that closed it, null for Escape. `actions` are
 * `{label, value, kind?}`, the first one is what Enter in a field does; `focus` gets the focus, else the second action.
 * `unread`: it may be sent before anybody can have read it.
 */
export function ask({ title, role = null, kind = "", body = [], actions, focus = null, unread = false }) {
  const id = `dialog-title-${++titles}`;
  return new Promise((answered) => {
    const buttons = actions.map(({ label, value, kind: look = "" }, index) =>
      el("button", { type: index ? "button" : "submit", class: look, text: label, value,
        on: index ? { click: () => dialog.close(value) } : {} }));
    const form = el("form", { method: "dialog" },
      el("h2", { id, text: title }), el("div", { class: "dialog-body", id: `${id}-body` }, body),
      el("div", { class: "actions" }, buttons));
    const dialog = el("dialog", { role, class: kind, "aria-labelledby": id, "aria-describedby": role && `${id}-body` }, form);
    form.addEventListener("keydown", enterGuard(unread));
    form.addEventListener("submit", (event) => { event.preventDefault(); dialog.close(actions[0].value); });
    dialog.addEventListener("close", () => { dialog.remove(); answered(dialog.returnValue || null); });
    document.body.append(dialog);
    dialog.showModal();
    (focus ?? buttons[1] ?? buttons[0]).focus();
  });
}

/** A key that is held down, or hit twice on the button before, confirms nothing that it opened. */
function enterGuard(unread) {
  const openedAt = performance.now();
  let typed = unread;
  return (event) => {
    const isEnter = event.key === "Enter" && event.target.tagName === "INPUT";
    const isEarly = !typed && performance.now() - openedAt < UNREAD_MS;
    if (isEnter && (event.repeat || isEarly)) event.preventDefault();
    else typed = true;
  };
}

/**
 * Asks whether to do something, and why. Answers the reason, which may be empty, or null where it is not to be done.
 * Enter in the reason does it.
 */
export async function askReason({ title, body = [], confirm, kind = "primary", reason = "", unread = false }) {
  const [field, label] = reasonField("Reason", reason);
  const answer = await ask({
    title, body: [...body, label], focus: field, unread,
    actions: [{ label: confirm, value: "yes", kind }, { label: "Cancel", value: "" }],
  });
  return answer === "yes" ? reasonOf(field) : null;
}

/** What was typed or pasted, as one line that can be shown: nothing is refused at night for a tab in its reason. */
export function reasonOf(field) {
  return field.value.replace(NO_TEXT, " ").trim();
}

/** A field for the history, and the label around it. */
export function reasonField(label, value = "") {
  const field = el("input", { type: "text", maxlength: 500, autocomplete: "off", placeholder: "for the history; may stay empty", value });
  return [field, el("label", { class: "field" }, el("span", { text: label }), field)];
}

/** A list of sentences. */
export function bullets(sentences, name = "") {
  return el("ul", { class: name }, sentences.map((text) => el("li", { text })));
}
