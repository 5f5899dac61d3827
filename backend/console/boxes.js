/** A picture with the boxes of one side over it. The lines stretch with the picture; the words do not. */

import { el, svg } from "./dom.js";

const MAX_NAMED = 40; // of more boxes the words would hide the picture

/** The boxes of an answer of POST /api/detect, as the page speaks of them. */
export function boxesOf(detections) {
  return detections.map(({ class: label, confidence, bbox }) => ({ ...bbox, score: confidence, label }));
}

/**
 * @param {string} url of the picture, as a blob
 * @param {{width: number, height: number}} size of the upright picture, as the backend read it
 * @param {string} side "legacy" is drawn solid, "triton" dashed
 * @returns {{root: Element, light: function(?object)}} `light` makes one box stand out, null none
 */
export function boxedPicture(url, size, boxes, side, words) {
  const shapes = boxes.map((box) => shape(box, side));
  const names = boxes.slice(0, MAX_NAMED).map((box) => name(box, size, side));
  const note = el("p", { class: "small warn" });
  const image = el("img", { src: url, alt: words, width: size.width, height: size.height });
  image.addEventListener("load", () => { note.textContent = unlike(image, size); });
  image.addEventListener("error", () => { note.textContent = "The browser cannot show this picture; the backend could read it."; });
  const drawing = svg("svg", {
    class: "boxes", viewBox: `0 0 ${size.width} ${size.height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, shapes);
  const root = el("div", {}, el("div", { class: "boxed" }, image, drawing, ...names), note);

  function light(box) {
    boxes.forEach((one, index) => {
      shapes[index].classList.toggle("lit", one === box);
      names[index]?.classList.toggle("lit", one === box);
    });
    root.classList.toggle("has-lit", boxes.includes(box));
  }
  return { root, light };
}

/** Twice: a dark line below makes the coloured one seen on any ground. */
function shape(box, side) {
  const place = { x: box.x, y: box.y, width: box.width, height: box.height };
  return svg("g", { class: `box ${side}` }, svg("rect", { class: "box-under", ...place }), svg("rect", { class: "box-line", ...place }));
}

function name(box, size, side) {
  const label = el("span", { class: `box-name ${side}`, "aria-hidden": "true", text: `${box.label} ${box.score.toFixed(2)}` });
  label.style.setProperty("left", `${within((100 * box.x) / size.width)}%`);
  label.style.setProperty("top", `${within((100 * box.y) / size.height)}%`);
  label.classList.toggle("below", box.y / size.height < 0.08);
  label.classList.toggle("leftwards", box.x / size.width > 0.7);
  return label;
}

function within(percent) {
  return Math.min(100, Math.max(0, percent)).toFixed(2);
}

/** Both turn a picture upright as its EXIF says; where they do not agree the boxes would lie beside their things. */
function unlike(image, size) {
  if (image.naturalWidth === size.width && image.naturalHeight === size.height) return "";
  return `The browser shows this picture as ${image.naturalWidth} × ${image.naturalHeight}, the backend read it as ${size.width} × ${size.height}: the boxes may lie wrong.`;
}
