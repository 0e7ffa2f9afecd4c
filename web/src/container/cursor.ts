/** A position in bytes that never runs past their end, and the numbers that are read there. */

import { CorruptError, FormatError, TruncatedError } from "../errors.js";

/** More bytes than this no varint has: 35 bits, which a JavaScript number still holds exactly. */
const MAX_VARINT_BYTES = 5;

/** What a number that is too large means: usually damage, and a newer version where one may define it. */
export type Beyond = new (message: string) => FormatError;

export class Cursor {
  offset = 0;

  constructor(readonly data: Uint8Array) {}

  /** Raises TruncatedError unless `size` more bytes are there for the part called `name`. */
  require(size: number, name: string): void {
    const end = this.offset + size;
    if (end > this.data.length) {
      throw new TruncatedError(
        `${name} at byte ${this.offset} ends at byte ${end}; ${this.data.length} bytes are present`,
      );
    }
  }

  /** The next `size` bytes, not copied. */
  take(size: number, name: string): Uint8Array {
    this.require(size, name);
    this.offset += size;
    return this.data.subarray(this.offset - size, this.offset);
  }

  /** All bytes from here to the end, not copied. */
  rest(): Uint8Array {
    return this.take(this.data.length - this.offset, "rest");
  }

  /** An unsigned big-endian number of `bytes` bytes, which must be in `low` … `high`. */
  fixed(bytes: 1 | 2 | 4, name: string, low: number, high: number, beyond: Beyond = CorruptError): number {
    const start = this.offset;
    let value = 0;
    for (const byte of this.take(bytes, name)) value = value * 256 + byte;
    return checked(value, start, name, low, high, beyond);
  }

  /** An unsigned LEB128 number in its only spelling, which must be in `low` … `high`. */
  varint(name: string, low: number, high: number, beyond: Beyond = CorruptError): number {
    const start = this.offset;
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.take(1, name)[0]!;
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) {
        if (byte === 0 && i > 0) throw new CorruptError(`${name} at byte ${start} is a varint padded with a zero byte`);
        return checked(value, start, name, low, high, beyond);
      }
    }
    throw new CorruptError(`${name} at byte ${start} is a varint of more than ${MAX_VARINT_BYTES} bytes`);
  }
}

function checked(value: number, at: number, name: string, low: number, high: number, beyond: Beyond): number {
  if (value >= low && value <= high) return value;
  const message = `${name} at byte ${at} is ${value}; this reader knows ${low}..${high}`;
  throw value > high ? new beyond(message) : new CorruptError(message);
}
