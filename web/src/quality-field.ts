/** The quality field of a file: a palette of offsets, and of each tile a map with tables of its own (docs/format.md). */

import { positions, stages } from "./coarse-to-fine.js";
import { Cursor } from "./container/cursor.js";
import { QUALITY_FIELD_BOX } from "./container/header.js";
import { AnsDecoder } from "./entropy/ans.js";
import { SymbolTables, WHOLE } from "./entropy/tables.js";
import { CorruptError } from "./errors.js";

const LARGEST_OFFSET = 25600;
const RADIUS = 8;
const CONTEXTS = 43;

/** Of each context the chances below and above in 1/4096 and that of nearness in 1/16 (docs/format.md). */
const CHANCES = `1 2196 7
8 8 10 5 346 15 4 2048 15 346 5 15 857 1153 13 1189 1355 8 1467 1598 5
2 2 14 9 246 15 19 2048 15 246 9 15 458 654 13 607 735 8 635 798 5
34 34 9 13 561 15 33 2048 15 561 13 15 878 1241 13 1170 1403 7 1616 1808 6
4 4 11 7 367 15 5 2048 15 367 7 15 464 719 12 657 827 7 655 915 5
222 222 8 31 822 15 124 2048 14 822 31 15 1137 1392 11 1279 1509 7 1643 1762 5
46 46 8 29 634 15 86 2048 15 634 29 15 708 896 11 860 1014 7 1090 1253 5`;

let tables: SymbolTables | undefined;

function mapTables(): SymbolTables {
  if (tables !== undefined) return tables;
  const chances = CHANCES.split(/\s/).map(Number);
  const frequencies: number[] = [];
  for (let context = 0; context < CONTEXTS; context++) {
    const [below, above, near] = chances.slice(3 * context) as [number, number, number];
    const table = new Array<number>(2 * RADIUS + 2).fill(0);
    let rest = 0;
    for (const [chance, sign] of [[below, -1], [above, 1]] as const) {
      let mass = chance * 2 ** 12;
      for (let m = 1; m <= RADIUS; m++) {
        const share = Math.floor((mass * near) / 16);
        table[RADIUS + sign * m] = 1 + share;
        mass -= share;
      }
      rest += mass;
    }
    table[2 * RADIUS + 1] = 1 + rest;
    table[RADIUS] = WHOLE - table.reduce((sum, frequency) => sum + frequency, 0);
    frequencies.push(...table);
  }
  tables = new SymbolTables(frequencies, new Int32Array(CONTEXTS).fill(RADIUS));
  return tables;
}

/** The offsets of quality, in 1/256 and ascending, that a box holds. Raises CorruptError where it holds none. */
export function readPalette(payload: Uint8Array): number[] {
  const cursor = new Cursor(payload);
  const count = cursor.varint("palette_size", 1, 64);
  const palette = [cursor.fixed(2, "first_offset", 0, 2 * LARGEST_OFFSET) - LARGEST_OFFSET];
  while (palette.length < count) palette.push(palette.at(-1)! + cursor.varint("offset_step", 1, 2 * LARGEST_OFFSET));
  const left = payload.length - cursor.offset;
  if (left > 0) throw new CorruptError(`box ${QUALITY_FIELD_BOX}: ${left} bytes follow its ${count} offsets`);
  if (palette.at(-1)! > LARGEST_OFFSET) {
    throw new CorruptError(`box ${QUALITY_FIELD_BOX}: an offset of ${palette.at(-1)}; the largest is ${LARGEST_OFFSET}`);
  }
  return palette;
}

/** A tile's part of the quality field: which offset each position has, and the symbols of each pass. */
export function decodeField(
  data: Uint8Array,
  rows: number,
  columns: number,
  paletteSize: number,
): { index: Int16Array; passes: Int16Array[] } {
  const decoder = new AnsDecoder(data, mapTables());
  const index = new Int16Array(rows * columns);
  const passes: Int16Array[] = [];
  if (paletteSize > 1) {
    for (const stage of stages(rows, columns)) {
      const places = [...positions(stage, rows, columns)];
      const predictions = new Int32Array(places.length);
      const contexts = new Int16Array(places.length);
      places.forEach(([row, column], i) => {
        if (stage.distance === 0) return;
        const known = neighbours(index, rows, columns, row, column, stage.distance, stage.between);
        [predictions[i], contexts[i]] = predicted(known, stage.distance, stage.between);
      });
      const symbols = decoder.decode(contexts);
      places.forEach(([row, column], i) => {
        const value = predictions[i]! + symbols[i]!;
        if (value < 0 || value >= paletteSize) {
          throw new CorruptError(`a map has the value ${value}; it must be in 0..${paletteSize - 1}`);
        }
        index[row * columns + column] = value;
      });
      passes.push(symbols);
    }
  }
  decoder.finish();
  return { index, passes };
}

/** The values of the neighbours that lie in the map, ascending. */
function neighbours(
  index: Int16Array,
  rows: number,
  columns: number,
  row: number,
  column: number,
  distance: number,
  between: boolean,
): number[] {
  const found: number[] = [];
  for (let i = 0; i < 4; i++) {
    const [down, right] = between ? [[-1, 0], [0, -1], [0, 1], [1, 0]][i]! : [[-1, -1], [-1, 1], [1, -1], [1, 1]][i]!;
    const [r, c] = [row + down! * distance, column + right! * distance];
    if (r >= 0 && r < rows && c >= 0 && c < columns) found.push(index[r * columns + c]!);
  }
  return found.sort((a, b) => a - b);
}

/** The prediction, the median of the neighbours, and the context of the symbol. */
function predicted(known: number[], distance: number, between: boolean): [number, number] {
  const [low, high] = [known[(known.length - 1) >> 1]!, known[known.length >> 1]!];
  const [least, most] = [known[0]!, known.at(-1)!];
  const spread = most - least;
  let agreement = spread < 4 ? 4 : spread < 8 ? 5 : 6;
  if (spread === 0) agreement = 0;
  else if (spread === 1) agreement = low !== high ? 2 : low === least ? 1 : 3;
  const kind = 2 * Math.min(Math.floor(Math.log2(distance)), 2) + (between ? 1 : 0);
  return [(low + high) >> 1, 1 + 7 * kind + agreement];
}
