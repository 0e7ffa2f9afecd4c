/** Fixed-point numbers that every machine computes alike (docs/format.md, "Levels", "From scale to table"). */

const QUALITY_TOP = 25600;
const ACTIVATION_MAX = 1023;
const TABLES = 96;

/** ⌊2^(15 + k/256)⌋ for k = 0 … 255. None but k = 0 is near a whole number, so that floats give the exact one. */
export const MANTISSAS = Int32Array.from({ length: 256 }, (_, k) => (k === 0 ? 32768 : Math.floor(2 ** (15 + k / 256))));

/** A table of levels: (levels, channels), row after row. */
export interface LevelTable {
  readonly levels: number;
  readonly channels: number;
  readonly values: ArrayLike<number>;
}

/** The row of a level table at a quality in 1/256 units. */
export function levelRow(table: LevelTable, units: number): Int32Array {
  const { levels, channels, values } = table;
  const position = units * (levels - 1);
  const low = Math.max(0, Math.min(Math.floor(position / QUALITY_TOP), levels - 2));
  const fraction = position - QUALITY_TOP * low;
  const row = new Int32Array(channels);
  for (let c = 0; c < channels; c++) {
    const [a, b] = [values[low * channels + c]!, values[(low + 1) * channels + c]!];
    row[c] = Math.floor((a * (QUALITY_TOP - fraction) + b * fraction + QUALITY_TOP / 2) / QUALITY_TOP);
  }
  return row;
}

/** Symbols (n, channels) times 2^(−gain/256), in units of 1/32, rounded half up and clipped to ±1023. */
export function dequantise(symbols: Int16Array, logGain: Int32Array): Int32Array {
  const channels = logGain.length;
  const result = new Int32Array(symbols.length);
  for (let c = 0; c < channels; c++) {
    const octaves = -logGain[c]!;
    const h = 10 - (octaves >> 8);
    const extra = Math.max(1 - h, 0);
    const factor = MANTISSAS[octaves & 255]! * 2 ** extra;
    const [half, whole] = [2 ** (h + extra - 1), 2 ** (h + extra)];
    for (let i = c; i < symbols.length; i += channels) {
      const value = Math.floor((symbols[i]! * factor + half) / whole);
      result[i] = Math.max(-ACTIVATION_MAX, Math.min(ACTIVATION_MAX, value));
    }
  }
  return result;
}

/** The table of a scale in 1/256 octave in a family, 0 or 1; −1 where a zero is too certain to be coded. */
export function tableIndex(scale: number, first: number, family: number): number {
  const table = Math.min((scale + 1040) >> 5, TABLES - 1);
  return table < first ? -1 : TABLES * family + table;
}
