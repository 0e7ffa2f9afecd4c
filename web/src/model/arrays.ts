/** A model's files of arrays: integers, and weights as symbols times steps (docs/weights.md, "The format of arrays"). */

import { crc32OfSymbols } from "../container/crc32.js";
import { ModelMismatchError } from "../errors.js";
import { inflated } from "../inflate.js";
import { readNpz, type Numbers, type NumpyArray } from "./npz.js";

const SMALLEST = 68;
const FAR = 255;
const FACTORS = [1, 1.1892071, 1.4142135, 1.6817929].map(Math.fround);

interface Entry {
  readonly name: string;
  readonly kind: "plain" | "integers" | "weights";
  readonly type: string;
  readonly shape: readonly number[];
}

/** The arrays of a file by name. Raises ModelMismatchError or CorruptError where it is damaged. */
export function readArrays(data: Uint8Array): Map<string, NumpyArray> {
  const members = readNpz(data);
  const member = (name: string): Numbers => {
    const found = members.get(name);
    if (found === undefined) throw new ModelMismatchError(`a file of arrays has no member ${name}`);
    return found.values;
  };
  const entries = JSON.parse(new TextDecoder().decode(member("index"))) as Entry[];
  const packed = entries.filter(({ kind }) => kind !== "plain");
  const symbols = packed.length > 0 ? unpacked(packed, member) : new Int16Array(0);
  const taken = new Map<string, number>();
  const take = (name: string, count: number): Numbers => {
    const start = taken.get(name) ?? 0;
    taken.set(name, start + count);
    const values = member(name).subarray(start, start + count);
    if (values.length !== count) throw new ModelMismatchError(`${name} of a file of arrays ends too early`);
    return values;
  };
  const arrays = new Map<string, NumpyArray>();
  let at = 0;
  for (const { name, kind, type, shape } of entries) {
    const size = product(shape);
    if (kind === "plain") {
      arrays.set(name, { shape, values: take(`plain.${type}`, size) });
      continue;
    }
    const values = symbols.subarray(at, at + size);
    at += size;
    if (kind === "integers") {
      arrays.set(name, { shape, values });
    } else {
      const rows = take("steps", shape[0]!);
      const columns = take("steps", size / shape[0]!);
      arrays.set(name, { shape, values: stepped(values, rows, columns) });
    }
  }
  return arrays;
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, side) => size * side, 1);
}

/** Symbols times 2^((row + column) / 4), in float32: every machine gets the same. */
function stepped(symbols: Int16Array, rows: Numbers, columns: Numbers): Float32Array {
  const values = new Float32Array(symbols.length);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const exponent = row + column;
      values[at] = symbols[at]! * (FACTORS[exponent & 3]! * 2 ** (exponent >> 2));
      at++;
    }
  }
  return values;
}

/** All symbols of a file, matrix by matrix and row by row. */
function unpacked(entries: readonly Entry[], member: (name: string) => Numbers): Int16Array {
  const [rows, columns] = [member("rows"), member("columns")];
  const total = entries.reduce((sum, { shape }) => sum + product(shape), 0);
  const sizes = new Uint8Array(total);
  let [row, column, at] = [0, 0, 0];
  for (const { shape } of entries) {
    const width = product(shape.slice(1));
    for (let r = 0; r < shape[0]!; r++, row++) {
      for (let c = 0; c < width; c++) sizes[at++] = rows[row]! + columns[column + c]!;
    }
    column += width;
  }
  if (row !== rows.length || column !== columns.length) {
    throw new ModelMismatchError("a file of arrays has not as many rows and columns as its arrays");
  }
  const counts = new Int32Array(257);
  for (let i = 0; i < total; i++) counts[sizes[i]! + 1]!++;
  for (let size = 0; size < 256; size++) counts[size + 1]! += counts[size]!;

  const ordered = inOrder(counts, total, member);
  const symbols = new Int16Array(total);
  for (let i = 0; i < total; i++) symbols[i] = ordered[counts[sizes[i]!]!++]!;
  if (crc32OfSymbols(symbols) !== member("checksum")[0]) {
    throw new ModelMismatchError("the checksum of a file of arrays does not agree");
  }
  return symbols;
}

/** The symbols sorted by size; `starts`: where each size begins. */
function inOrder(starts: Int32Array, total: number, member: (name: string) => Numbers): Int16Array {
  const high = inflated(member("high") as Uint8Array, total, "a file of arrays");
  const [low, far] = [member("low") as Uint8Array, member("far")];
  const ordered = new Int16Array(total);
  let [farAt, byte, bit] = [0, -1, 7];
  let before = 0;
  for (let size = 0; size < 256; size++) {
    const shift = Math.max(0, Math.min(15, Math.floor((size - SMALLEST) / 2) - 3));
    if (shift !== before && starts[size + 1]! > starts[size]!) {
      before = shift;
      bit = 7; // the next bit is the highest of a new byte
    }
    for (let i = starts[size]!; i < starts[size + 1]!; i++) {
      const folded = high[i]!;
      let value = folded === FAR ? far[farAt++]! : folded & 1 ? ~(folded >> 1) : folded >> 1;
      if (shift > 0) {
        let noise = 0;
        for (let b = 0; b < shift; b++) {
          if (++bit > 7) {
            bit = 0;
            byte++;
          }
          noise |= ((low[byte]! >> (7 - bit)) & 1) << b;
        }
        value = (value << shift) | noise;
      }
      ordered[i] = value;
    }
  }
  if (farAt !== far.length || byte + 1 !== low.length) throw new ModelMismatchError("a file of arrays has parts left over");
  return ordered;
}
