/** The element `<img-gliss src="x.gliss" alt="…">`, which shows a picture while it arrives. */

import { UnsupportedError } from "./errors.js";
import { load } from "./page.js";

const STYLE = `
  :host { display: inline-block; }
  :host([hidden]) { display: none; }
  canvas { display: block; max-width: 100%; height: auto; }
  .failed canvas, slot { display: none; }
  .failed slot { display: contents; }
`;

/**
 * A picture. Its events are "load", "progress" whenever more rows are shown, and "error", an ErrorEvent.
 *
 * What stands inside the element is shown where the picture cannot be: `<img-gliss src="x.gliss"><img src="x.jpg"></img-gliss>`.
 */
export class ImgGliss extends HTMLElement {
  static readonly observedAttributes = ["src", "alt"];

  /** Whether the picture is shown, or cannot be. */
  complete = false;
  private readonly frame = document.createElement("div");
  private readonly canvas = document.createElement("canvas");
  private stop = new AbortController();

  constructor() {
    super();
    const style = document.createElement("style");
    style.textContent = STYLE;
    this.canvas.part.add("canvas");
    this.canvas.width = this.canvas.height = 0;
    this.frame.append(this.canvas, document.createElement("slot"));
    this.attachShadow({ mode: "open" }).append(style, this.frame);
  }

  get src(): string {
    return this.getAttribute("src") ?? "";
  }

  set src(value: string) {
    this.setAttribute("src", value);
  }

  get alt(): string {
    return this.getAttribute("alt") ?? "";
  }

  set alt(value: string) {
    this.setAttribute("alt", value);
  }

  /** The picture's size in pixels; 0 as long as it is not known. */
  get naturalWidth(): number {
    return this.canvas.width;
  }

  get naturalHeight(): number {
    return this.canvas.height;
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (name === "alt") this.describe();
    else if (before !== value && this.isConnected) void this.show();
  }

  connectedCallback(): void {
    this.describe();
    void this.show();
  }

  disconnectedCallback(): void {
    this.stop.abort();
  }

  /** As `<img>` does: without an alt it is a picture nobody knows of what, with an empty one it is ornament. */
  private describe(): void {
    this.canvas.setAttribute("role", this.getAttribute("alt") === "" ? "presentation" : "img");
    this.canvas.setAttribute("aria-label", this.alt);
  }

  private async show(): Promise<void> {
    this.stop.abort();
    const stop = (this.stop = new AbortController());
    this.complete = false;
    this.frame.classList.remove("failed");
    if (!this.src) return;
    try {
      await load(new URL(this.src, document.baseURI).href, stop.signal, {
        start: (width, height) => {
          if (stop.signal.aborted) return;
          this.canvas.width = width;
          this.canvas.height = height;
        },
        rows: (rgba, top, bottom) => {
          if (stop.signal.aborted) return;
          put(this.canvas, rgba, top, bottom);
          const { height } = this.canvas;
          this.dispatchEvent(new ProgressEvent("progress", { lengthComputable: true, loaded: bottom, total: height }));
        },
      });
      if (stop.signal.aborted) return;
      this.complete = true;
      this.dispatchEvent(new Event("load"));
    } catch (error) {
      if (stop.signal.aborted) return;
      this.complete = true;
      this.frame.classList.add("failed");
      const message = error instanceof Error ? error.message : String(error);
      this.dispatchEvent(new ErrorEvent("error", { error, message }));
    }
  }
}

/** Draw some rows of a picture onto a canvas of its size. */
export function put(canvas: HTMLCanvasElement, rgba: Uint8ClampedArray<ArrayBuffer>, top: number, bottom: number): void {
  const context = canvas.getContext("2d");
  if (context === null) throw new UnsupportedError(`a picture of ${canvas.width}x${canvas.height} is too large for a canvas`);
  context.putImageData(new ImageData(rgba, canvas.width, bottom - top), 0, top);
}
