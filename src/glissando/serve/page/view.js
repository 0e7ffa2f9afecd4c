/** The stage: two pictures over each other with a border between them, at any magnification. */

const LARGEST = 64; // CSS pixels for a pixel
const STEP = 1.25;

export class View extends EventTarget {
  constructor(stage) {
    super();
    const find = (id) => stage.querySelector(`#${id}`);
    Object.assign(this, { stage, width: 0, height: 0, scale: 1, x: 0, y: 0, share: 0.5, fitted: true });
    [this.world, this.ours, this.other, this.heat, this.tint] = ["world", "ours", "other", "heat", "tint"].map(find);
    [this.border, this.left, this.right] = ["border", "left", "right"].map(find);
    this.compares = false;
    new ResizeObserver(() => (this.fitted ? this.fit() : this.#place())).observe(stage);
  }

  /** Show a picture of this size, of which nothing is known yet. */
  begin(width, height) {
    Object.assign(this, { width, height });
    for (const layer of [this.ours, this.other]) Object.assign(layer, { width, height });
    for (const layer of [this.ours, this.other, this.heat, this.tint]) {
      layer.style.width = `${width}px`;
      layer.style.height = `${height}px`;
    }
    this.border.hidden = true;
    this.compares = false;
    this.showBits(null);
    this.fit();
  }

  /** Draw a picture on our side, or on the other; null empties it. */
  draw(layer, image) {
    const context = layer.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    if (image) context.drawImage(image, 0, 0, this.width, this.height);
    if (layer === this.other) this.compares = this.compares || Boolean(image);
    this.border.hidden = !this.compares;
    this.#place();
  }

  /** Lay colours over all: the bits of each square of `side` pixels. */
  showBits(bits) {
    if (this.heat.src) URL.revokeObjectURL(this.heat.src);
    this.heat.hidden = !bits;
    if (!bits) return this.heat.removeAttribute("src");
    this.heat.onload = () => {
      this.heat.style.width = `${this.heat.naturalWidth * bits.side}px`;
      this.heat.style.height = `${this.heat.naturalHeight * bits.side}px`;
      this.heat.style.clipPath = `inset(0 ${this.heat.naturalWidth * bits.side - this.width}px
        ${this.heat.naturalHeight * bits.side - this.height}px 0)`;
    };
    this.heat.src = URL.createObjectURL(bits.picture);
  }

  label(side, text) {
    this[side].textContent = text;
    this[side].hidden = !text;
  }

  /** Where the border lies, 0 to 1 of the stage's width. */
  setBorder(share) {
    this.share = Math.min(Math.max(share, 0), 1);
    this.#place();
  }

  get #room() {
    return [this.stage.clientWidth, this.stage.clientHeight];
  }

  /** All of the picture, but not larger than it is. */
  fit() {
    if (!this.width) return;
    const [width, height] = this.#room;
    this.scale = Math.min(width / this.width, height / this.height, 1);
    this.x = (width - this.width * this.scale) / 2;
    this.y = (height - this.height * this.scale) / 2;
    this.fitted = true;
    this.#place();
  }

  /** Magnify, so that what is at a point of the stage, its middle unless given, stays there. */
  zoomTo(scale, [atX, atY] = this.#room.map((side) => side / 2)) {
    if (!this.width) return;
    const least = Math.min(this.#room[0] / this.width, this.#room[1] / this.height, 1) / 2;
    const next = Math.min(Math.max(scale, least), LARGEST);
    this.x = atX - ((atX - this.x) * next) / this.scale;
    this.y = atY - ((atY - this.y) * next) / this.scale;
    this.scale = next;
    this.fitted = false;
    this.#place();
  }

  zoomBy(steps, point) {
    this.zoomTo(this.scale * STEP ** steps, point);
  }

  /** Move the picture by so many CSS pixels. */
  pan(x, y) {
    this.x += x;
    this.y += y;
    this.fitted = false;
    this.#place();
  }

  /** The picture's coordinates of a pointer's. */
  toPicture({ clientX, clientY }) {
    const box = this.stage.getBoundingClientRect();
    return [(clientX - box.left - this.x) / this.scale, (clientY - box.top - this.y) / this.scale];
  }

  /** The stage's coordinates of a place in the picture. */
  toStage([x, y]) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  #place() {
    const [width, height] = this.#room;
    // Some of the picture stays where it can be seen.
    this.x = Math.min(Math.max(this.x, 40 - this.width * this.scale), width - 40);
    this.y = Math.min(Math.max(this.y, 40 - this.height * this.scale), height - 40);
    this.world.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.world.classList.toggle("magnified", this.scale * devicePixelRatio > 1.01);
    const at = (this.share * width - this.x) / this.scale;
    const cut = Math.min(Math.max(this.width - at, 0), this.width);
    this.ours.style.clipPath = this.compares ? `inset(0 ${cut}px 0 0)` : "";
    this.other.style.clipPath = `inset(0 0 0 ${this.width - cut}px)`;
    this.border.style.left = `${this.share * width}px`;
    this.border.setAttribute("aria-valuenow", Math.round(100 * this.share));
    this.border.setAttribute("aria-valuetext", `${Math.round(100 * this.share)} per cent Glissando`);
    this.dispatchEvent(new Event("moved"));
  }
}
