/** Bits and prefix codes of a lossless WebP picture (RFC 9649, 3.7). */

import { CorruptError } from "../errors.js";

const MAX_BITS = 15;
const FAST = 8;
const ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

export class BitReader {
  private held = 0;
  private count = 0;

  constructor(
    private readonly data: Uint8Array,
    private at: number,
  ) {}

  /** The next bits, at most 24, the first of them the lowest. */
  bits(count: number): number {
    this.fill(count);
    if (this.count < count) throw new CorruptError("a WebP picture ends too early");
    const value = this.held & ((1 << count) - 1);
    this.drop(count);
    return value;
  }

  /** The next bits without taking them; zeros beyond the end. */
  peek(count: number): number {
    this.fill(count);
    return this.held & ((1 << count) - 1);
  }

  drop(count: number): void {
    if (count > this.count) throw new CorruptError("a WebP picture ends too early");
    this.held >>>= count;
    this.count -= count;
  }

  private fill(count: number): void {
    while (this.count < count && this.at < this.data.length) {
      this.held |= this.data[this.at++]! << this.count;
      this.count += 8;
    }
  }
}

/** A canonical prefix code. One of a single symbol takes no bits. */
export class PrefixCode {
  private readonly counts = new Uint16Array(MAX_BITS + 1);
  private readonly symbols: Uint16Array;
  private fast: Uint16Array | undefined;

  private constructor(lengths: Uint8Array) {
    for (const length of lengths) this.counts[length]!++;
    this.counts[0] = 0;
    const used = this.counts.reduce((sum, count) => sum + count, 0);
    this.symbols = new Uint16Array(used);
    const next = new Uint16Array(MAX_BITS + 2);
    let left = 1;
    for (let length = 1; length <= MAX_BITS; length++) {
      left = 2 * left - this.counts[length]!;
      if (left < 0) throw new CorruptError("a WebP picture has more codes than there can be");
      next[length + 1] = next[length]! + this.counts[length]!;
    }
    if (used === 0 || (used > 1 && left > 0)) throw new CorruptError("a WebP picture has codes that stand for nothing");
    lengths.forEach((length, symbol) => {
      if (length > 0) this.symbols[next[length]!++] = symbol;
    });
  }

  static read(reader: BitReader, size: number): PrefixCode {
    const lengths = new Uint8Array(size);
    if (reader.bits(1)) {
      const two = reader.bits(1) === 1;
      const first = reader.bits(reader.bits(1) ? 8 : 1);
      for (const symbol of two ? [first, reader.bits(8)] : [first]) {
        if (symbol >= size) throw new CorruptError("a WebP picture has a code of a symbol that there is not");
        lengths[symbol] = 1;
      }
      return new PrefixCode(lengths);
    }
    const small = new Uint8Array(ORDER.length);
    const count = 4 + reader.bits(4);
    for (let i = 0; i < count; i++) small[ORDER[i]!] = reader.bits(3);
    const code = new PrefixCode(small);
    let left = reader.bits(1) ? 2 + reader.bits(2 + 2 * reader.bits(3)) : size;
    let before = 8;
    for (let i = 0; i < size && left > 0; left--) {
      const symbol = code.next(reader);
      if (symbol < 16) {
        if (symbol > 0) before = symbol;
        lengths[i++] = symbol;
        continue;
      }
      const repeat = symbol === 16 ? 3 + reader.bits(2) : symbol === 17 ? 3 + reader.bits(3) : 11 + reader.bits(7);
      if (i + repeat > size) throw new CorruptError("a WebP picture has too many lengths of codes");
      lengths.fill(symbol === 16 ? before : 0, i, i + repeat);
      i += repeat;
    }
    return new PrefixCode(lengths);
  }

  next(reader: BitReader): number {
    if (this.symbols.length === 1) return this.symbols[0]!;
    this.fast ??= this.fastTable();
    const found = this.fast[reader.peek(FAST)]!;
    if (found !== 0) {
      reader.drop(found & 15);
      return found >> 4;
    }
    let [value, first, index] = [0, 0, 0];
    for (let length = 1; length <= MAX_BITS; length++) {
      value |= reader.bits(1);
      const count = this.counts[length]!;
      if (value - first < count) return this.symbols[index + value - first]!;
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    throw new CorruptError("a WebP picture has a code that there is not");
  }

  /** For each 8 bits the symbol · 16 + length of the code that they begin with, if it is no longer than that. */
  private fastTable(): Uint16Array {
    const fast = new Uint16Array(1 << FAST);
    let [value, index] = [0, 0];
    for (let length = 1; length <= FAST; length++, value <<= 1) {
      for (let i = 0; i < this.counts[length]!; i++, value++, index++) {
        let reversed = 0;
        for (let bit = 0; bit < length; bit++) reversed |= ((value >> bit) & 1) << (length - 1 - bit);
        for (let at = reversed; at < fast.length; at += 1 << length) fast[at] = (this.symbols[index]! << 4) | length;
      }
    }
    return fast;
  }
}
