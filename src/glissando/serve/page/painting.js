/** Importance, painted over the picture with a brush: white is kept best, black is spent least on. */

import { arrowOf } from "./gestures.js";

const LEVELS = { more: 255, less: 0, erase: 128 };
const NEUTRAL = 128;
const LONGEST = 512; // pixels of the map's longer side
const KEY_STEP = 0.5; // of the brush's radius

/** The strokes, the map that they make, and their tint over the picture. Dispatches "change" when a stroke ends. */
export class Painting extends EventTarget {
  constructor(view, brush) {
    super();
    Object.assign(this, { view, brush, on: false, tool: "more", radius: 40, strokes: [], at: [0, 0] });
    this.map = document.createElement("canvas");
    this.stroke = null;
    view.addEventListener("moved", () => this.#showBrush());
  }

  /** A new picture: nothing is painted on it. */
  begin() {
    const { width, height } = this.view;
    this.scale = Math.min(1, LONGEST / Math.max(width, height));
    for (const canvas of [this.map, this.view.tint]) {
      canvas.width = Math.max(1, Math.round(width * this.scale));
      canvas.height = Math.max(1, Math.round(height * this.scale));
    }
    this.strokes = [];
    this.at = [width / 2, height / 2];
    this.#redraw();
  }

  setOn(on) {
    this.on = on && this.view.width > 0;
    this.cancel();
    this.view.stage.classList.toggle("painting", this.on);
    this.#redraw();
    this.#showBrush();
  }

  set(values) {
    Object.assign(this, values);
    this.#showBrush();
  }

  get empty() {
    return this.strokes.every(({ tool }) => tool === "erase" || tool === "clear") || this.#isNeutral();
  }

  /** The map as a PNG, or null where nothing is painted. */
  async file() {
    return this.empty ? null : new Promise((resolve) => this.map.toBlob(resolve, "image/png"));
  }

  undo() {
    if (this.strokes.pop()) this.#changed();
  }

  clear() {
    this.strokes.push({ tool: "clear", points: [] }); // so that it can be undone
    this.#changed();
  }

  // Pointers and keys -------------------------------------------------------------------------------

  down(event) {
    if (!this.on) return;
    this.stroke = { tool: this.tool, radius: this.radius, points: [this.view.toPicture(event)] };
    this.strokes.push(this.stroke);
    this.#redraw();
  }

  /** Go on with a stroke. False where none has begun. */
  move(event) {
    if (!this.stroke) return false;
    this.stroke.points.push(this.view.toPicture(event));
    this.#draw({ ...this.stroke, points: this.stroke.points.slice(-2) });
    this.#tint();
    return true;
  }

  up() {
    if (!this.stroke) return;
    this.stroke = null;
    this.#changed();
  }

  /** Forget a stroke that has begun. */
  cancel() {
    if (!this.stroke) return;
    this.strokes.pop();
    this.stroke = null;
    this.#redraw();
  }

  hover(event) {
    if (!this.on) return;
    this.at = this.view.toPicture(event);
    this.#showBrush();
  }

  /** What a key does to the brush. False where it means nothing here. */
  key(event) {
    if (!this.on) return false;
    const arrow = arrowOf(event);
    if (arrow) {
      const { width, height } = this.view;
      const next = this.at.map((place, axis) => place + KEY_STEP * this.radius * arrow[axis]);
      this.at = next.map((place, axis) => Math.min(Math.max(place, 0), [width, height][axis]));
    } else if (event.key === " " || event.key === "Enter") {
      this.strokes.push({ tool: this.tool, radius: this.radius, points: [this.at] });
      this.#changed();
    } else if (event.key === "[" || event.key === "]") {
      this.dispatchEvent(new CustomEvent("resize", { detail: event.key === "]" ? 1.25 : 0.8 }));
    } else return false;
    this.#showBrush();
    return true;
  }

  // Drawing -----------------------------------------------------------------------------------------

  #changed() {
    this.#redraw();
    this.dispatchEvent(new Event("change"));
  }

  #redraw() {
    this.#fill();
    this.strokes.forEach((stroke) => this.#draw(stroke));
    this.#tint();
  }

  #fill() {
    const context = this.map.getContext("2d", { willReadFrequently: true });
    context.fillStyle = `rgb(${NEUTRAL} ${NEUTRAL} ${NEUTRAL})`;
    context.fillRect(0, 0, this.map.width, this.map.height);
  }

  #draw({ tool, radius, points }) {
    if (tool === "clear") return this.#fill();
    const context = this.map.getContext("2d", { willReadFrequently: true });
    const level = LEVELS[tool];
    Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: 2 * radius * this.scale });
    context.strokeStyle = `rgb(${level} ${level} ${level})`;
    context.beginPath();
    const [first, ...others] = points.map((point) => point.map((place) => place * this.scale));
    context.moveTo(...first);
    for (const point of others.length ? others : [first]) context.lineTo(...point);
    context.stroke();
  }

  #levels() {
    return this.map.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, this.map.width, this.map.height);
  }

  #isNeutral() {
    return this.#levels().data.every((value, place) => place % 4 === 3 || value === NEUTRAL);
  }

  /** Show the map over the picture: amber where more bits go, blue where fewer do. */
  #tint() {
    const { tint } = this.view;
    tint.hidden = !this.on;
    if (!this.on) return;
    const levels = this.#levels();
    for (let place = 0; place < levels.data.length; place += 4) {
      const away = levels.data[place] - NEUTRAL;
      levels.data.set(away > 0 ? [255, 176, 32] : [40, 90, 255], place);
      levels.data[place + 3] = Math.abs(away);
    }
    tint.getContext("2d").putImageData(levels, 0, 0);
  }

  #showBrush() {
    this.brush.hidden = !this.on;
    if (!this.on) return;
    const [x, y] = this.view.toStage(this.at);
    const side = `${2 * this.radius * this.view.scale}px`;
    Object.assign(this.brush.style, { left: `${x}px`, top: `${y}px`, width: side, height: side });
  }
}
