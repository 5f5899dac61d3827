/** What a new ramp is asked to be. What is left empty is as the backend is set. */

import { ask, reasonField, reasonOf } from "./dialog.js";
import { el } from "./dom.js";

const NONE = "none";

/** The wishes of somebody who starts a ramp, or null; `before` is a draft that was refused. */
export async function askStart(detector, before = {}) {
  const fields = {
    steps: shareField("Steps, in per cent", "as the backend is set, such as 10, 25, 50, 75, 100", before.steps),
    gates: shareField("Steps that ask first, in per cent", "as the backend is set; none, or such as 75", before.gates),
    dry: checkbox("Dry run: decide and tell, move nothing", before.dry_run),
    force: checkbox("Force: without certificate and headroom; needs a reason", before.force),
  };
  const [reason, reasonLabel] = reasonField("Reason", before.reason ?? "");
  const failed = el("p", { class: "bad small", role: "alert" });
  for (;;) {
    const answer = await ask({
      title: `Start a ramp of ${detector}?`, focus: fields.steps.input,
      body: [
        el("p", { class: "soft", text: "Triton's share grows step by step as far as the evidence goes, and is taken back when it speaks against it." }),
        Object.values(fields).map((field) => field.element), reasonLabel, failed,
      ],
      actions: [{ label: "Start it", value: "yes", kind: "primary" }, { label: "Cancel", value: "" }],
    });
    if (answer !== "yes") return null;
    try {
      return wishes(fields, reasonOf(reason));
    } catch (error) {
      failed.textContent = error.message;
    }
  }
}

function wishes({ steps, gates, dry, force }, reason) {
  if (force.input.checked && !reason) throw new Error("A forced ramp needs a reason; it is kept in the history.");
  return {
    steps: sharesOf(steps.input.value, "Steps"), gates: sharesOf(gates.input.value, "Steps that ask first"),
    dry_run: dry.input.checked, force: force.input.checked, reason,
  };
}

/** "10, 25" as [0.1, 0.25], "none" as an empty list; null for nothing. */
function sharesOf(text, name) {
  if (text.trim().toLowerCase() === NONE) return [];
  const words = text.split(/[\s,;%]+/).filter(Boolean);
  if (!words.length) return null;
  const numbers = words.map(Number);
  const bad = numbers.findIndex((number) => !(number > 0 && number <= 100));
  if (bad >= 0) throw new Error(`${name}: "${words[bad]}" is no share; each is over 0 and at most 100 per cent.`);
  return numbers.map((number) => Number((number / 100).toFixed(6)));
}

function shareField(label, placeholder, shares) {
  const value = shares?.length === 0 ? NONE : (shares ?? []).map((share) => Number((100 * share).toFixed(4))).join(", ");
  const input = el("input", { type: "text", inputmode: "decimal", autocomplete: "off", placeholder, value });
  return { input, element: el("label", { class: "field" }, el("span", { text: label }), input) };
}

function checkbox(label, checked = false) {
  const input = el("input", { type: "checkbox", checked });
  return { input, element: el("label", { class: "check" }, input, el("span", { text: label })) };
}
