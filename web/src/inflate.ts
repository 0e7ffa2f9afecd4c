/**
 * Deflate's streams (RFC 1951) of a known size, without a header of zlib's or gzip's.
 *
 * In plain code rather than by the browser's DecompressionStream, which is asynchronous and does not tell where a
 * stream ends: a reader must know that nothing follows.
 */

import { CorruptError } from "./errors.js";

const MAX_BITS = 15;
const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A canonical Huffman code: how many codes each length has, and the symbols in the codes' order. */
interface Code {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
  /** For the next FAST bits of the stream: symbol · 16 + length of a code that is no longer; 0 for others. */
  readonly fast: Uint16Array;
}

const FAST = 9;

class BitReader {
  private at = 0;
  private held = 0;
  private count = 0;

  constructor(
    private readonly data: Uint8Array,
    private readonly name: string,
  ) {}

  bits(count: number): number {
    while (this.count < count) {
      if (this.at >= this.data.length) throw new CorruptError(`${this.name} cannot be inflated: it ends too early`);
      this.held |= this.data[this.at++]! << this.count;
      this.count += 8;
    }
    const value = this.held & ((1 << count) - 1);
    this.held >>>= count;
    this.count -= count;
    return value;
  }

  symbol(code: Code): number {
    while (this.count < FAST && this.at < this.data.length) {
      this.held |= this.data[this.at++]! << this.count;
      this.count += 8;
    }
    const found = code.fast[this.held & ((1 << FAST) - 1)]!;
    if (found !== 0 && (found & 15) <= this.count) {
      this.held >>>= found & 15;
      this.count -= found & 15;
      return found >> 4;
    }
    let [value, first, index] = [0, 0, 0];
    for (let length = 1; length <= MAX_BITS; length++) {
      value |= this.bits(1);
      const count = code.counts[length]!;
      if (value - count < first) return code.symbols[index + (value - first)]!;
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    throw new CorruptError(`${this.name} cannot be inflated: a code that there is not`);
  }

  /** The bytes of a stored block. */
  stored(): Uint8Array {
    this.at -= this.count >> 3;
    this.held = this.count = 0;
    const [length, check] = [this.bits(16), this.bits(16)];
    if ((length ^ check) !== 0xffff) throw new CorruptError(`${this.name} cannot be inflated: a stored block's length`);
    this.at += length;
    if (this.at > this.data.length) throw new CorruptError(`${this.name} cannot be inflated: it ends too early`);
    return this.data.subarray(this.at - length, this.at);
  }

  get atEnd(): boolean {
    return this.at - (this.count >> 3) === this.data.length;
  }
}

function codeOf(lengths: ArrayLike<number>, name: string): Code {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (let i = 0; i < lengths.length; i++) counts[lengths[i]!]!++;
  counts[0] = 0;
  let left = 1;
  const offsets = new Uint16Array(MAX_BITS + 2);
  const next = new Uint16Array(MAX_BITS + 2);
  for (let length = 1; length <= MAX_BITS; length++) {
    left = 2 * left - counts[length]!;
    if (left < 0) throw new CorruptError(`${name} cannot be inflated: more codes than there can be`);
    offsets[length + 1] = offsets[length]! + counts[length]!;
    next[length + 1] = (next[length]! + counts[length]!) << 1;
  }
  const symbols = new Uint16Array(lengths.length);
  const fast = new Uint16Array(1 << FAST);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length === 0) continue;
    symbols[offsets[length]!++] = symbol;
    const value = next[length]!++;
    if (length > FAST) continue;
    let reversed = 0;
    for (let bit = 0; bit < length; bit++) reversed |= ((value >> bit) & 1) << (length - 1 - bit);
    for (let i = reversed; i < 1 << FAST; i += 1 << length) fast[i] = (symbol << 4) | length;
  }
  return { counts, symbols, fast };
}

function fixedCodes(): [Code, Code] {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [codeOf(lengths, ""), codeOf(new Array<number>(30).fill(5), "")];
}

function readCodes(reader: BitReader, name: string): [Code, Code] {
  const literals = reader.bits(5) + 257;
  const distances = reader.bits(5) + 1;
  const count = reader.bits(4) + 4;
  const small = new Uint8Array(19);
  for (let i = 0; i < count; i++) small[ORDER[i]!] = reader.bits(3);
  const code = codeOf(small, name);
  const lengths = new Uint8Array(literals + distances);
  for (let i = 0; i < lengths.length; ) {
    const symbol = reader.symbol(code);
    if (symbol < 16) {
      lengths[i++] = symbol;
      continue;
    }
    if (symbol === 16 && i === 0) throw new CorruptError(`${name} cannot be inflated: a length that repeats none`);
    const value = symbol === 16 ? lengths[i - 1]! : 0;
    const repeat = symbol === 16 ? 3 + reader.bits(2) : symbol === 17 ? 3 + reader.bits(3) : 11 + reader.bits(7);
    if (i + repeat > lengths.length) throw new CorruptError(`${name} cannot be inflated: too many lengths`);
    lengths.fill(value, i, i + repeat);
    i += repeat;
  }
  return [codeOf(lengths.subarray(0, literals), name), codeOf(lengths.subarray(literals), name)];
}

/**
 * Exactly the `size` bytes that were deflated; no more memory than that, whatever `data` holds.
 *
 * `name` is for messages. Raises CorruptError where the data are damaged, or hold more or less.
 */
export function inflated(data: Uint8Array, size: number, name: string): Uint8Array {
  const reader = new BitReader(data, name);
  const out = new Uint8Array(size);
  let length = 0;
  const wrong = (): CorruptError => new CorruptError(`${name} does not inflate to ${size} bytes`);
  for (let last = false; !last; ) {
    last = reader.bits(1) === 1;
    const kind = reader.bits(2);
    if (kind === 3) throw new CorruptError(`${name} cannot be inflated: a block of an unknown kind`);
    if (kind === 0) {
      const part = reader.stored();
      if (length + part.length > size) throw wrong();
      out.set(part, length);
      length += part.length;
      continue;
    }
    const [literals, distances] = kind === 1 ? fixedCodes() : readCodes(reader, name);
    for (let symbol = reader.symbol(literals); symbol !== 256; symbol = reader.symbol(literals)) {
      if (symbol < 256) {
        if (length >= size) throw wrong();
        out[length++] = symbol;
        continue;
      }
      if (symbol > 285) throw new CorruptError(`${name} cannot be inflated: a length that there is not`);
      const run = LENGTH_BASE[symbol - 257]! + reader.bits(LENGTH_BITS[symbol - 257]!);
      const far = reader.symbol(distances);
      if (far > 29) throw new CorruptError(`${name} cannot be inflated: a distance that there is not`);
      const extra = Math.max((far >> 1) - 1, 0);
      const distance = far < 2 ? far + 1 : ((2 + (far & 1)) << extra) + 1 + reader.bits(extra);
      if (distance > length) throw new CorruptError(`${name} cannot be inflated: a distance beyond the beginning`);
      if (length + run > size) throw wrong();
      for (let i = 0; i < run; i++, length++) out[length] = out[length - distance]!;
    }
  }
  if (length !== size || !reader.atEnd) throw wrong();
  return out;
}
