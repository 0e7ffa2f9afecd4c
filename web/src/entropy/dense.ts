/**
 * Layers of integer networks, exact in any order of their sums.
 *
 * Every sum of a layer is below 2^24 in magnitude, whatever the symbols (`checkBound`), and a JavaScript number holds
 * 53 bits. So two outputs share a number: a + 2^26·b. One multiplication and one addition then serve both, and in the
 * end the two are told apart again. Inputs that are zero, which many are, cost nothing.
 */

import { ModelMismatchError } from "../errors.js";

const APART = 2 ** 26;
const WEIGHT_SHIFT = 7;
export const ACTIVATION_MAX = 1023;
/** Integers below it are exact in the float32 that other implementations compute with. */
export const EXACT = 2 ** 24;

/** An array of integers with its shape, (outputs, inputs, rows, columns) for weights. */
export interface IntegerArray {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** Raises ModelMismatchError unless all sums of a layer stay below `limit`; inputs from `signed` on may be negative. */
export function checkBound(
  name: string,
  weight: IntegerArray,
  bias: IntegerArray,
  largest: number,
  signed: number,
  limit: number,
): void {
  const [outputs, inputs] = [weight.shape[0]!, weight.shape[1]!];
  const taps = weight.values.length / (outputs * inputs);
  for (let o = 0; o < outputs; o++) {
    let [above, below] = [0, 0];
    for (let i = 0; i < inputs * taps; i++) {
      const w = weight.values[o * inputs * taps + i]!;
      if (w > 0 || i >= signed * taps) above += Math.abs(w);
      if (w < 0 || i >= signed * taps) below += Math.abs(w);
    }
    const sum = largest * Math.max(above, below) + Math.abs(bias.values[o]!) + 2 ** WEIGHT_SHIFT;
    if (sum >= limit) {
      throw new ModelMismatchError(`scale network, layer ${name}: sums may reach ${sum}, exact only below ${limit}`);
    }
  }
}

/** A convolution of kernel 1 or 3, or a matrix; results are (Σ + 64) >> 7, clipped to 0 … 1023 if `clips`. */
export class Dense {
  readonly outputs: number;
  readonly inputs: number;
  private readonly kernel: number;
  private readonly blocks: number;
  /** For each block of eight outputs, for each input, four numbers of two weights each. */
  private readonly weights: Float64Array;
  private readonly bias: Float64Array;

  constructor(
    weight: IntegerArray,
    bias: IntegerArray,
    private readonly clips: boolean,
  ) {
    const [outputs, inputs, kernel] = weight.shape as readonly [number, number, number];
    this.outputs = outputs;
    this.inputs = inputs;
    this.kernel = kernel;
    this.blocks = Math.ceil(outputs / 8);
    const taps = kernel * kernel;
    const rows = taps * inputs;
    this.weights = new Float64Array(this.blocks * rows * 4);
    this.bias = new Float64Array(this.blocks * 4);
    for (let o = 0; o < outputs; o++) {
      const place = 4 * (o >> 3) * rows + (o & 3);
      const factor = o & 4 ? APART : 1;
      this.bias[4 * (o >> 3) + (o & 3)]! += (bias.values[o]! + 64) * factor;
      for (let i = 0; i < inputs; i++) {
        for (let tap = 0; tap < taps; tap++) {
          this.weights[place + 4 * (tap * inputs + i)]! += weight.values[(o * inputs + i) * taps + tap]! * factor;
        }
      }
    }
  }

  /**
   * Apply to a grid: `x` (height, width, inputs) → (height, width, outputs), zeros around it.
   */
  apply(x: Int32Array, height: number, width: number): Int32Array {
    const result = new Int32Array(height * width * this.outputs);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const found = this.gather(x, height, width, row, column);
        this.outputsOf(found, 0, this.outputs, result, (row * width + column) * this.outputs);
      }
    }
    return result;
  }

  /** Apply a matrix to one position: its outputs `from` … `to` − 1 to `result` from `at` on. */
  applyAt(x: Int32Array, xAt: number, from: number, to: number, result: Int32Array, at: number): void {
    this.outputsOf(this.collect(x, xAt, 0, 0), from, to, result, at);
  }

  // The inputs of a position that are not zero, and where their weights begin in a block.
  private values = new Float64Array(0);
  private places = new Int32Array(0);

  private collect(x: Int32Array, at: number, tap: number, found: number): number {
    if (this.values.length === 0) {
      this.values = new Float64Array(this.kernel * this.kernel * this.inputs);
      this.places = new Int32Array(this.values.length);
    }
    const { inputs, values, places } = this;
    for (let i = 0; i < inputs; i++) {
      const value = x[at + i]!;
      if (value !== 0) {
        values[found] = value;
        places[found++] = 4 * (tap * inputs + i);
      }
    }
    return found;
  }

  private gather(x: Int32Array, height: number, width: number, row: number, column: number): number {
    const margin = this.kernel >> 1;
    let found = 0;
    for (let tap = 0; tap < this.kernel * this.kernel; tap++) {
      const r = row + Math.floor(tap / this.kernel) - margin;
      const c = column + (tap % this.kernel) - margin;
      if (r < 0 || r >= height || c < 0 || c >= width) continue;
      found = this.collect(x, (r * width + c) * this.inputs, tap, found);
    }
    return found;
  }

  private outputsOf(found: number, from: number, to: number, result: Int32Array, at: number): void {
    const { values, places, weights, bias } = this;
    const size = 4 * this.kernel * this.kernel * this.inputs;
    for (let block = from >> 3; 8 * block < to; block++) {
      let a = bias[4 * block]!;
      let b = bias[4 * block + 1]!;
      let c = bias[4 * block + 2]!;
      let d = bias[4 * block + 3]!;
      const base = block * size;
      for (let k = 0; k < found; k++) {
        const value = values[k]!;
        const place = base + places[k]!;
        a += value * weights[place]!;
        b += value * weights[place + 1]!;
        c += value * weights[place + 2]!;
        d += value * weights[place + 3]!;
      }
      const shift = at - from;
      this.put(a, 8 * block, from, to, result, shift);
      this.put(b, 8 * block + 1, from, to, result, shift);
      this.put(c, 8 * block + 2, from, to, result, shift);
      this.put(d, 8 * block + 3, from, to, result, shift);
    }
  }

  /** The sums of outputs `o` and `o` + 4, which share a number, to their places if they are in `from` … `to` − 1. */
  private put(sums: number, o: number, from: number, to: number, result: Int32Array, shift: number): void {
    const upper = Math.floor((sums + APART / 2) / APART);
    if (o >= from && o < to) result[shift + o] = this.finished(sums - upper * APART);
    if (o + 4 >= from && o + 4 < to) result[shift + o + 4] = this.finished(upper);
  }

  private finished(sum: number): number {
    const value = sum >> WEIGHT_SHIFT;
    return this.clips ? Math.max(0, Math.min(ACTIVATION_MAX, value)) : value;
  }
}
