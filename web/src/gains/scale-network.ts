/** The integer scale network (docs/format.md, "The integer scale network"): how large a tile's symbols are likely to be. */

import { ModelMismatchError } from "../errors.js";
import { ACTIVATION_MAX, checkBound, Dense, EXACT, type IntegerArray } from "../entropy/dense.js";

const MAGNITUDE_MAX = 15;
const DENSE_LAYERS = ["z_mix", "z_up", "mid_mix", "mid_up", "first_out", "second_mix", "second_out"] as const;

export class ScaleNetwork {
  readonly latents: number;
  private readonly layers = new Map<string, Dense>();
  private readonly nearKernel: number;
  /** (taps, channels). */
  private readonly nearWeight: Int32Array;
  private readonly nearBias: ArrayLike<number>;

  /** `arrays`: "scales.NAME.weight" and "scales.NAME.bias" of every layer. Raises ModelMismatchError. */
  constructor(arrays: ReadonlyMap<string, IntegerArray>) {
    const take = (name: string): IntegerArray => {
      const found = arrays.get(`scales.${name}`);
      if (found === undefined) throw new ModelMismatchError(`the scale network has no ${name}`);
      return found;
    };
    const near = { weight: take("near.weight"), bias: take("near.bias") };
    this.latents = near.bias.values.length;
    checkBound("near", near.weight, near.bias, MAGNITUDE_MAX, 1, 2 ** 15);
    for (const name of DENSE_LAYERS) {
      const [weight, bias] = [take(`${name}.weight`), take(`${name}.bias`)];
      const signed = name === "z_mix" ? 0 : name === "second_mix" ? this.latents : weight.shape[1]!;
      checkBound(name, weight, bias, ACTIVATION_MAX, signed, EXACT);
      this.layers.set(name, new Dense(weight, bias, !name.endsWith("_out")));
    }
    this.nearKernel = near.weight.shape[2]!;
    this.nearBias = near.bias.values;
    const taps = this.nearKernel ** 2;
    this.nearWeight = new Int32Array(taps * this.latents);
    for (let c = 0; c < this.latents; c++) {
      for (let tap = 0; tap < taps; tap++) {
        this.nearWeight[tap * this.latents + c] = near.weight.values[c * taps + tap]!;
      }
    }
  }

  private layer(name: (typeof DENSE_LAYERS)[number]): Dense {
    return this.layers.get(name)!;
  }

  /**
   * First scales of the coded positions, (rows, columns, latents) in 1/256 octave, without the scale offset.
   *
   * `z`: hyper-latents (height, width, hyper) in units of 1/32. The positions are the first `rows` and `columns` of
   * the four times as many that the tile has each way.
   */
  first(z: Int32Array, height: number, width: number, rows: number, columns: number): Int32Array {
    let x = this.layer("z_mix").apply(z, height, width);
    x = upshuffled(this.layer("z_up").apply(x, height, width), height, width);
    x = this.layer("mid_mix").apply(x, 2 * height, 2 * width);
    x = upshuffled(this.layer("mid_up").apply(x, 2 * height, 2 * width), 2 * height, 2 * width);
    const out = this.layer("first_out");
    const result = new Int32Array(rows * columns * out.outputs);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const from = (row * 4 * width + column) * out.inputs;
        out.applyAt(x, from, 0, out.outputs, result, (row * columns + column) * out.outputs);
      }
    }
    for (let i = 0; i < result.length; i++) result[i]! <<= 3;
    return result;
  }

  /**
   * Second scales of those symbols that the second pass codes, (rows, columns, latents/2) in 1/256 octave.
   *
   * `first`: the first pass's symbols, (rows, columns, latents/2); `scales`: first scales with the offset.
   */
  second(first: Int16Array, scales: Int32Array, rows: number, columns: number): Int32Array {
    const { latents } = this;
    const half = latents / 2;
    const near = this.near(first, rows, columns);
    const both = new Int32Array(2 * latents);
    const mixed = new Int32Array(this.layer("second_mix").outputs);
    const result = new Int32Array(rows * columns * half);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const position = row * columns + column;
        for (let c = 0; c < latents; c++) {
          const seen = (near[position * latents + c]! + 2) >> 2;
          const scale = (scales[position * latents + c]! + 4) >> 3;
          both[c] = Math.max(0, Math.min(ACTIVATION_MAX, seen));
          both[latents + c] = Math.max(-ACTIVATION_MAX, Math.min(ACTIVATION_MAX, scale));
        }
        this.layer("second_mix").applyAt(both, 0, 0, mixed.length, mixed, 0);
        const start = (row + column) % 2 === 0 ? half : 0;
        this.layer("second_out").applyAt(mixed, 0, start, start + half, result, position * half);
        for (let c = 0; c < half; c++) {
          const at = position * half + c;
          result[at] = (result[at]! << 3) + scales[position * latents + start + c]!;
        }
      }
    }
    return result;
  }

  /** Sums of the depthwise layer, (rows, columns, latents): each symbol that is not zero adds to those around it. */
  private near(first: Int16Array, rows: number, columns: number): Int32Array {
    const { latents, nearKernel: kernel, nearWeight: weights } = this;
    const half = latents / 2;
    const margin = kernel >> 1;
    const sums = new Int32Array(rows * columns * latents);
    for (let at = 0; at < sums.length; at += latents) sums.set(this.nearBias, at);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const start = (row + column) % 2 === 0 ? 0 : half;
        const from = (row * columns + column) * half;
        const [top, bottom] = [Math.max(0, row - margin), Math.min(rows - 1, row + margin)];
        const [left, right] = [Math.max(0, column - margin), Math.min(columns - 1, column + margin)];
        for (let c = 0; c < half; c++) {
          const magnitude = Math.min(Math.abs(first[from + c]!), MAGNITUDE_MAX);
          if (magnitude === 0) continue;
          for (let r = top; r <= bottom; r++) {
            // A sum at row r sees this symbol through the tap that lies row − r below its own place.
            for (let l = left; l <= right; l++) {
              const tap = (row - r + margin) * kernel + (column - l + margin);
              sums[(r * columns + l) * latents + start + c]! += magnitude * weights[tap * latents + start + c]!;
            }
          }
        }
      }
    }
    return sums;
  }
}

/** Depth to space: (height, width, 4c) → (2·height, 2·width, c); channel 4c + 2i + j goes to (i, j). */
function upshuffled(x: Int32Array, height: number, width: number): Int32Array {
  const channels = x.length / (4 * height * width);
  const result = new Int32Array(x.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const from = (row * width + column) * 4 * channels;
      for (let part = 0; part < 4; part++) {
        const to = ((2 * row + (part >> 1)) * 2 * width + 2 * column + (part & 1)) * channels;
        for (let c = 0; c < channels; c++) result[to + c] = x[from + 4 * c + part]!;
      }
    }
  }
  return result;
}
