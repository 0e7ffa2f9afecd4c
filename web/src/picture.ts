/** Decoded pixels. */

import type { PixelFormat } from "./container/header.js";

export class Picture {
  /** Channels of a pixel: those of colour, and opacity as the last where the format has it. */
  readonly channels: number;
  /**
   * (height, width, channels), row by row. Samples of up to 8 bits are bytes, others 16-bit numbers; white and opaque are
   * 2^depth − 1. Colours are not multiplied by the opacity.
   */
  readonly data: Uint8ClampedArray | Uint16Array;

  constructor(
    readonly width: number,
    readonly height: number,
    readonly format: PixelFormat,
    /** Metadata by the type of their box: "icc ", "exif", "xmp ", … (docs/format.md, "Boxes"). */
    readonly boxes: ReadonlyMap<string, Uint8Array>,
  ) {
    this.channels = format.channels + (format.alpha === "none" ? 0 : 1);
    const size = width * height * this.channels;
    this.data = format.depth <= 8 ? new Uint8ClampedArray(size) : new Uint16Array(size);
    if (format.alpha !== "none") this.makeOpaque();
  }

  /** 2^depth − 1. */
  get white(): number {
    return 2 ** this.format.depth - 1;
  }

  /** Some rows as 8-bit red, green, blue and opacity, as a canvas takes them. */
  toRGBA(top = 0, bottom = this.height): Uint8ClampedArray<ArrayBuffer> {
    const { data, channels, width, white } = this;
    const grey = this.format.channels === 1;
    const transparent = this.format.alpha !== "none";
    const factor = 255 / white;
    const result = new Uint8ClampedArray((bottom - top) * width * 4);
    let from = top * width * channels;
    for (let to = 0; to < result.length; to += 4, from += channels) {
      result[to] = data[from]! * factor;
      result[to + 1] = data[grey ? from : from + 1]! * factor;
      result[to + 2] = data[grey ? from : from + 2]! * factor;
      result[to + 3] = transparent ? data[from + channels - 1]! * factor : 255;
    }
    return result;
  }

  private makeOpaque(): void {
    for (let i = this.channels - 1; i < this.data.length; i += this.channels) this.data[i] = this.white;
  }
}
