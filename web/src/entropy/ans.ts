/**
 * The entropy decoder: rANS with a state of 64 bits, kept as two halves of 32 bits (docs/format.md, "Symbol streams").
 *
 * A state is at most 2^64 − 1 and a frequency below 2^24, so that the products below have at most 48 bits and are exact
 * in a JavaScript number.
 */

import { CorruptError } from "../errors.js";
import { MAX_SYMBOL, type SymbolTables } from "./tables.js";

const LOW_24 = 0xffffff;
const TWO_16 = 2 ** 16;
const TWO_32 = 2 ** 32;

export class AnsDecoder {
  private readonly words: Uint32Array;
  private left: number;
  private high = 0;
  private low = 0;

  /** Raises CorruptError where the bytes cannot be a stream. */
  constructor(
    data: Uint8Array,
    private readonly tables: SymbolTables,
  ) {
    if (data.length % 4) {
      throw new CorruptError(`a symbol stream is made of 4-byte words; this one has ${data.length} bytes`);
    }
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    this.words = new Uint32Array(data.length / 4);
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getUint32(4 * i, true);
    this.left = this.words.length;
    if (this.left > 0 && this.words[this.left - 1] === 0) {
      throw new CorruptError("the last word of a symbol stream is never zero; in this one it is");
    }
    this.refill();
    this.refill();
  }

  /**
   * Decode a pass.
   *
   * `index`: each symbol's table, negative where it is not coded and 0. Raises CorruptError for a symbol out of range.
   */
  decode(index: Int16Array): Int16Array {
    const counts = new Int32Array(this.tables.count);
    let coded = 0;
    for (let i = 0; i < index.length; i++) {
      if (index[i]! >= 0) {
        counts[index[i]!]!++;
        coded++;
      }
    }
    const next = new Int32Array(counts.length);
    for (let t = 1; t < counts.length; t++) next[t] = next[t - 1]! + counts[t - 1]!;
    const order = new Int32Array(coded);
    for (let i = 0; i < index.length; i++) {
      if (index[i]! >= 0) order[next[index[i]!]!++] = i;
    }
    const values = this.decodeRuns(Int32Array.from(counts.keys()), counts);
    const symbols = new Int16Array(index.length);
    for (let i = 0; i < coded; i++) symbols[order[i]!] = values[i]!;
    return symbols;
  }

  /** Decode a pass whose symbols come in runs: of each run its table, and how many symbols it has. */
  decodeRuns(runTables: Int32Array, counts: Int32Array): Int32Array {
    let total = 0;
    for (let run = 0; run < counts.length; run++) total += counts[run]!;
    const values = new Int32Array(total);
    const escaped: number[] = [];
    const radiiOfEscaped: number[] = [];
    let at = 0;
    for (let run = 0; run < counts.length; run++) {
      const count = counts[run]!;
      if (count === 0) continue;
      const table = runTables[run]!;
      const radius = this.tables.radii[table]!;
      this.decodeRun(table, values, at, count);
      for (let i = at; i < at + count; i++) {
        if (values[i]! > radius) {
          escaped.push(i);
          radiiOfEscaped.push(radius);
        }
      }
      at += count;
    }
    if (escaped.length > 0) this.decodeEscapes(values, escaped, radiiOfEscaped);
    return values;
  }

  /** Raises CorruptError unless nothing is left after the last pass. */
  finish(): void {
    if (this.high !== 0 || this.low !== 0 || this.left !== 0) {
      throw new CorruptError("bits are left over after a stream's last symbol");
    }
  }

  /** `count` symbols of one table to `values` from `at` on; the escape is one more than the table's radius. */
  private decodeRun(table: number, values: Int32Array, at: number, count: number): void {
    const { cumulative } = this.tables;
    const offset = this.tables.offsets[table]!;
    const buckets = this.tables.bucketsOf(table);
    const radius = this.tables.radii[table]!;
    for (let i = at; i < at + count; i++) {
      const q = this.low & LOW_24;
      const bucket = q >>> 16;
      let entry = buckets[bucket]!;
      let last = buckets[bucket + 1]!;
      while (entry < last) {
        const middle = (entry + last + 1) >> 1;
        if (cumulative[offset + middle]! <= q) entry = middle;
        else last = middle - 1;
      }
      const start = cumulative[offset + entry]!;
      this.advance(cumulative[offset + entry + 1]! - start, q - start);
      values[i] = entry - radius;
    }
  }

  /** One of 2^bits equally likely values. */
  private raw(bits: number): number {
    const shift = 24 - bits;
    const q = this.low & LOW_24;
    this.advance(1 << shift, q & ((1 << shift) - 1));
    return q >>> shift;
  }

  /** state ← (state >> 24) · frequency + rest, and refill. */
  private advance(frequency: number, rest: number): void {
    const upper = this.high >>> 8;
    const lower = ((this.high & 255) << 8) | (this.low >>> 24);
    const high = upper * frequency;
    const sum = (high % TWO_16) * TWO_16 + (lower * frequency + rest);
    this.low = sum % TWO_32 >>> 0;
    this.high = Math.floor(high / TWO_16) + Math.floor(sum / TWO_32);
    this.refill();
  }

  private refill(): void {
    if (this.high === 0 && this.left > 0) {
      this.high = this.low;
      this.low = this.words[--this.left]!;
    }
  }

  private decodeEscapes(values: Int32Array, escaped: number[], radii: number[]): void {
    const negative = escaped.map(() => this.raw(1));
    const lengths = escaped.map(() => this.raw(4));
    const excess = lengths.map((n) => Math.min(n, 1));
    for (let n = 2; n <= 15; n++) {
      for (let i = 0; i < lengths.length; i++) {
        if (lengths[i] === n) excess[i] = 2 ** (n - 1) + this.raw(n - 1);
      }
    }
    for (let i = 0; i < escaped.length; i++) {
      const magnitude = radii[i]! + 1 + excess[i]!;
      if (magnitude > MAX_SYMBOL) {
        throw new CorruptError(`a symbol of magnitude ${magnitude}; the largest is ${MAX_SYMBOL}`);
      }
      values[escaped[i]!] = negative[i] ? -magnitude : magnitude;
    }
  }
}
