/** Integer probability tables (docs/format.md, "Symbol tables"). */

import { ModelMismatchError } from "../errors.js";

/** The frequencies of a table sum to 2^24. */
export const WHOLE = 2 ** 24;
export const MAX_SYMBOL = 32767;

const BUCKET_BITS = 16;
const BUCKETS = WHOLE >> BUCKET_BITS;

/**
 * A family of tables. Table t has a radius K and 2K + 2 entries: the symbols −K … K, then the escape.
 *
 * Raises ModelMismatchError where the numbers are no tables.
 */
export class SymbolTables {
  readonly count: number;
  /** Where each table begins in `cumulative`. */
  readonly offsets: Int32Array;
  /** Of each table its 2K + 3 cumulative frequencies, from 0 to 2^24. */
  readonly cumulative: Int32Array;
  private readonly buckets: (Uint16Array | undefined)[];

  constructor(
    frequencies: ArrayLike<number>,
    readonly radii: Int32Array,
  ) {
    this.count = radii.length;
    this.offsets = new Int32Array(this.count);
    let size = 0;
    for (let t = 0; t < this.count; t++) {
      const radius = radii[t]!;
      if (radius < 0 || radius > MAX_SYMBOL) throw new ModelMismatchError(`the radius of table ${t} is ${radius}`);
      this.offsets[t] = size;
      size += 2 * radius + 3;
    }
    if (frequencies.length !== size - this.count) {
      throw new ModelMismatchError(
        `radii ask for ${size - this.count} frequencies; there are ${frequencies.length}`,
      );
    }
    this.cumulative = new Int32Array(size);
    let from = 0;
    for (let t = 0; t < this.count; t++) {
      const at = this.offsets[t]!;
      const entries = 2 * radii[t]! + 2;
      let sum = 0;
      for (let j = 0; j < entries; j++) {
        const frequency = frequencies[from++]!;
        if (frequency < 1 || frequency >= WHOLE) throw new ModelMismatchError(`a frequency of table ${t} is ${frequency}`);
        sum += frequency;
        this.cumulative[at + j + 1] = Math.min(sum, WHOLE + 1);
      }
      if (sum !== WHOLE) throw new ModelMismatchError(`table ${t} sums to ${sum}; must be 2^24`);
    }
    this.buckets = new Array<Uint16Array | undefined>(this.count);
  }

  /**
   * For each 2^16 values of q the entry that the first of them belongs to, and at last the escape.
   *
   * With it, the entry of a q is found by a binary search among the few of its bucket.
   */
  bucketsOf(table: number): Uint16Array {
    let found = this.buckets[table];
    if (found === undefined) {
      found = new Uint16Array(BUCKETS + 1);
      const at = this.offsets[table]!;
      const escape = 2 * this.radii[table]! + 1;
      let entry = 0;
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        while (this.cumulative[at + entry + 1]! <= bucket << BUCKET_BITS) entry++;
        found[bucket] = entry;
      }
      found[BUCKETS] = escape;
      this.buckets[table] = found;
    }
    return found;
  }
}
