/** Planes of integers that come back exactly, by any of their methods (docs/format.md, "Planes"). */

import { Cursor } from "../container/cursor.js";
import { CorruptError } from "../errors.js";
import { inflated } from "../inflate.js";
import { decodeStream } from "./stream.js";
import { decodeWebp } from "./webp.js";

const PREDICTED = 0;
const WEBP = 1;
const PLAIN = 2;
const FEW_VALUES = 3;

/**
 * Planes of `depth` bits, one after the other: (planes, height, width).
 *
 * Raises FormatError where the bytes are damaged. Memory is bounded by the size, whatever the bytes are.
 */
export function decodePlanes(data: Uint8Array, planes: number, height: number, width: number, depth: number): Uint16Array {
  if (data[0] !== FEW_VALUES) return decodeAny(data, planes, height, width, depth);
  const cursor = new Cursor(data);
  cursor.take(1, "method");
  const values = readValues(cursor, depth);
  const bits = Math.max(1, 32 - Math.clz32(values.length - 1));
  const samples = decodeAny(cursor.rest(), planes, height, width, bits);
  for (let i = 0; i < samples.length; i++) {
    const value = values[samples[i]!];
    if (value === undefined) throw new CorruptError(`a sample has value number ${samples[i]} of ${values.length}`);
    samples[i] = value;
  }
  return samples;
}

function decodeAny(data: Uint8Array, planes: number, height: number, width: number, depth: number): Uint16Array {
  if (data.length === 0) throw new CorruptError("coded planes have no byte");
  const content = data.subarray(1);
  switch (data[0]) {
    case PREDICTED:
      return decodeStream(content, planes, height, width, depth);
    case WEBP:
      return decodeWebp(content, planes, height, width, depth);
    case PLAIN:
      return readPlain(content, planes * height * width, depth);
    case FEW_VALUES:
      throw new CorruptError(`planes are coded by method ${FEW_VALUES} twice over`);
    default:
      throw new CorruptError(`planes are coded by method ${data[0]}; this reader knows 0 to ${FEW_VALUES}`);
  }
}

function readPlain(data: Uint8Array, count: number, depth: number): Uint16Array {
  const size = Math.ceil((count * depth) / 8);
  const unused = 8 * size - count * depth;
  if (data.length !== size || data[size - 1]! & ((1 << unused) - 1)) {
    throw new CorruptError(
      `${count} plain samples of ${depth} bits take ${size} bytes, not ${data.length}, and end in zeros`,
    );
  }
  const samples = new Uint16Array(count);
  let [held, bits, at] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    for (; bits < depth; bits += 8) held = ((held << 8) | data[at++]!) & 0xffffff;
    bits -= depth;
    samples[i] = (held >> bits) & ((1 << depth) - 1);
  }
  return samples;
}

/** The ascending values of planes of few values. */
function readValues(cursor: Cursor, depth: number): Uint16Array {
  const count = cursor.varint("value_count", 1, 2 ** 16);
  const packed = cursor.take(cursor.varint("list_length", 1, 2 ** 18), "list of values");
  const raw = inflated(packed, 2 * count, "the list of values");
  const values = new Uint16Array(count);
  let value = 0;
  for (let i = 0; i < count; i++) {
    const step = raw[2 * i]! + 256 * raw[2 * i + 1]!;
    value += step;
    if ((i > 0 && step === 0) || value >= 2 ** depth) {
      throw new CorruptError(`the values of planes of ${depth} bits do not ascend, or go up to ${value}`);
    }
    values[i] = value;
  }
  return values;
}
