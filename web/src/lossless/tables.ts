/** The probability tables that all streams of planes share (docs/format.md, "Planes", "Tables"). */

import { SymbolTables, WHOLE } from "../entropy/tables.js";

const DECAYS = `32 38 45 54 64 76 91 108 128 152 181 215 256 304 362 431 512
609 724 861 1024 1217 1447 1721 2046 2432 2891 3435 4080 4844 5748 6814 8068 9536
11244 13217 15471 18012 20830 23892 27146 30518 33924 37278 40503 43539 46341 48887 51169 53191 54967
56514 57854 59008 59999 60846 61568 62182 62704 63146 63520 63836 64104 64330 64520 64681 64816`
  .split(/\s/)
  .map(Number);

const WIDTHS = 60;
const TAIL_SHIFT = 7;
const TAIL_SHARES = [0, 1, 3];
const LARGEST_RADIUS = 255;
const FIRST_NOISY_WIDTH = 52;
const MOST_LOW_BITS = 11;

/** Choices below it write no low bits. */
const PLAIN = WIDTHS * TAIL_SHARES.length;
/** Choices are numbered from 0. */
export const CHOICES = PLAIN + 4 * MOST_LOW_BITS;

let tables: SymbolTables | undefined;

/** All tables: those of widths and tails, then those of 1 to 11 plain bits. They are made when first needed. */
export function planeTables(): SymbolTables {
  if (tables !== undefined) return tables;
  const geometric = DECAYS.map(frequenciesOf);
  const frequencies: number[] = [];
  const radii: number[] = [];
  const add = (table: number[], radius: number): void => {
    table[radius]! += WHOLE - table.reduce((sum, frequency) => sum + frequency, 0);
    for (const frequency of table) frequencies.push(frequency);
    radii.push(radius);
  };
  for (let width = 0; width < WIDTHS; width++) {
    const [narrow, wide] = [geometric[width]!, geometric[width + TAIL_SHIFT]!];
    for (const share of TAIL_SHARES) {
      const mixed = wide.map((w, m) => Math.floor(((16 - share) * (narrow[m] ?? 0) + share * w) / 16));
      const radius = Math.min(LARGEST_RADIUS, 8 + (2 ** (width >> 2) >> 6));
      const table = new Array<number>(2 * radius + 2).fill(0);
      for (let m = 1; m <= radius; m++) table[radius - m] = table[radius + m] = 1 + (mixed[m] ?? 0);
      table[2 * radius + 1] = 1 + 2 * mixed.slice(radius + 1).reduce((sum, frequency) => sum + frequency, 0);
      add(table, radius);
    }
  }
  for (let bits = 1; bits <= MOST_LOW_BITS; bits++) {
    const half = 2 ** (bits - 1);
    add([...new Array<number>(2 * half).fill(WHOLE / 2 ** bits), 1, 1], half);
  }
  tables = new SymbolTables(frequencies, Int32Array.from(radii));
  return tables;
}

/** The frequency of each magnitude from 0 until it vanishes, for one of its signs. */
function frequenciesOf(decay: number): number[] {
  const shares = [2 ** 32];
  while (shares.at(-1)! > 0) shares.push(Math.floor((shares.at(-1)! * decay) / 2 ** 16));
  const whole = 2 * shares.reduce((sum, share) => sum + share, 0) - shares[0]!;
  return shares.map((share) => quotient(share, whole));
}

/** ⌊2^24 · share / whole⌋, exactly: the product has up to 56 bits, so that it is divided 12 bits at a time. */
function quotient(share: number, whole: number): number {
  const upper = share * 2 ** 12;
  const first = Math.floor(upper / whole);
  return first * 2 ** 12 + Math.floor(((upper - first * whole) * 2 ** 12) / whole);
}

/** The table of a choice. */
export function tableOf(choice: number): number {
  return choice < PLAIN ? choice : TAIL_SHARES.length * (FIRST_NOISY_WIDTH + ((choice - PLAIN) & 3)) + 1;
}

/** How many low bits a choice writes as they are. */
export function lowBitsOf(choice: number): number {
  return choice < PLAIN ? 0 : 1 + ((choice - PLAIN) >> 2);
}

/** The table of so many plain bits; a value v is the symbol v − 2^(bits − 1). */
export function rawTable(bits: number): number {
  return PLAIN - 1 + bits;
}
