/** NumPy's archives of arrays, as far as a model's files use them: a zip file of deflated .npy members. */

import { textOf } from "../bytes.js";
import { ModelMismatchError } from "../errors.js";
import { inflated } from "../inflate.js";

export type Numbers = Uint8Array | Int8Array | Int16Array | Int32Array | Uint32Array | Float32Array;

/** An array with its shape, in C's order. float16 has become float32. */
export interface NumpyArray {
  readonly shape: readonly number[];
  readonly values: Numbers;
}

const DIRECTORY_END = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const MAX_MEMBER = 2 ** 28;

/** The members of an archive by name, without ".npy". Raises ModelMismatchError or CorruptError where it is damaged. */
export function readNpz(data: Uint8Array): Map<string, NumpyArray> {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  try {
    const end = data.length - 22;
    if (view.getUint32(end, true) !== DIRECTORY_END) throw new RangeError("no directory");
    const count = view.getUint16(end + 10, true);
    let at = view.getUint32(end + 16, true);
    const members = new Map<string, NumpyArray>();
    for (let i = 0; i < count; i++) {
      if (view.getUint32(at, true) !== DIRECTORY_ENTRY) throw new RangeError("a damaged directory");
      const method = view.getUint16(at + 10, true);
      const [packed, size] = [view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
      const lengths = [28, 30, 32].map((field) => view.getUint16(at + field, true));
      const name = new TextDecoder().decode(data.subarray(at + 46, at + 46 + lengths[0]!));
      const local = view.getUint32(at + 42, true);
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      if (start + packed > data.length || size > MAX_MEMBER) throw new RangeError(`${name} is too large`);
      const bytes = data.subarray(start, start + packed);
      const content = method === 0 ? bytes : inflated(bytes, size, name);
      members.set(name.replace(/\.npy$/, ""), readNpy(content, name));
      at += 46 + lengths[0]! + lengths[1]! + lengths[2]!;
    }
    return members;
  } catch (error) {
    if (error instanceof RangeError) throw new ModelMismatchError(`an archive of arrays cannot be read: ${error.message}`);
    throw error;
  }
}

function readNpy(data: Uint8Array, name: string): NumpyArray {
  const text = textOf(data.subarray(0, 256));
  const found = /^\x93NUMPY[^]{4}\{'descr': '([<|][a-z]\d)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \}/.exec(text);
  if (found === null) throw new ModelMismatchError(`${name} is no array of a known type`);
  const shape = found[2]!.split(",").filter((side) => side.trim()).map(Number);
  const start = 10 + new DataView(data.buffer, data.byteOffset).getUint16(8, true);
  const bytes = data.slice(start); // aligned for any type
  return { shape, values: typed(found[1]!, bytes, name) };
}

/** Little-endian numbers as all machines have them that browsers run on. */
function typed(type: string, bytes: Uint8Array, name: string): Numbers {
  const size = Number(type[2]);
  if (bytes.length % size) throw new ModelMismatchError(`${name} ends within a number`);
  const buffer = bytes.buffer as ArrayBuffer;
  switch (type.slice(1)) {
    case "u1":
      return bytes;
    case "i1":
      return new Int8Array(buffer);
    case "i2":
      return new Int16Array(buffer);
    case "i4":
      return new Int32Array(buffer);
    case "u4":
      return new Uint32Array(buffer);
    case "f4":
      return new Float32Array(buffer);
    case "f2":
      return Float32Array.from(new Uint16Array(buffer), fromHalf);
    default:
      throw new ModelMismatchError(`${name} has numbers of the type ${type}`);
  }
}

/** The number whose bits as a float16 these are. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
