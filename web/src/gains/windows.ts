/** From the symbols of tiles to what the networks take for a window, and from their samples to pixels. */

import type { Floats } from "../engine.js";
import { CELL, PER_CELL, type Grid, type Rectangle, type Window } from "../geometry.js";
import type { Model, VectorName } from "../model/model.js";
import type { Picture } from "../picture.js";
import type { Rates } from "./symbols.js";

/** Pixels each way of a patch, whose samples the networks make at once. */
const PATCH = 8;

/** A tile whose symbols are known. */
export interface KnownTile {
  /** Hyper-latents and latents as `TileSymbols` has them. */
  readonly z: Int16Array;
  readonly y: Int16Array;
  /** Which of the qualities that occur each latent has; undefined where all have the first. */
  readonly qualityOf?: Int16Array | undefined;
}

/** The vectors at the file's quality and at those that occur in it, in 1/256 units. */
export function vectorsAt(model: Model, base: number, local: readonly number[]): Record<VectorName, Floats> {
  // One quality for the whole picture, near the highest: where it changed from place to place a seam would show.
  const synthesis = Math.floor((3 * Math.max(...local) + Math.min(...local) + 2) / 4);
  const vector = (values: Float32Array): Floats => ({ shape: [values.length], values });
  return {
    means_offset: vector(model.vector("means_offset", base)),
    synthesis_factor: vector(model.vector("synthesis_factor", synthesis)),
    synthesis_offset: vector(model.vector("synthesis_offset", synthesis)),
  };
}

/** 2^(row / 256). */
function octaves(row: Int32Array, sign: 1 | -1): Float32Array {
  return Float32Array.from(row, (value) => 2 ** ((sign * value) / 256));
}

/** What the decoder's graph takes for a window. `tiles`: those that the window sees, by their number. */
export function windowInputs(
  grid: Grid,
  window: Window,
  tiles: ReadonlyMap<number, KnownTile>,
  rates: Rates,
): Record<"residual" | "z" | "even", Floats> {
  const { outer } = window;
  const [height, width] = [outer.bottom - outer.top, outer.right - outer.left];
  const latents = rates.inverseGain[0]!.length;
  const hyper = rates.hyperGain.length;
  const gains = rates.inverseGain.map((row) => octaves(row, 1));
  const hyperGain = octaves(rates.hyperGain, -1);
  const residual = new Float32Array(PER_CELL * height * PER_CELL * width * latents);
  const z = new Float32Array(height * width * hyper);
  for (const number of grid.tilesOver(outer)) {
    const known = tiles.get(number)!;
    const tile = grid.tile(number);
    const common = inCommon(tile, outer);
    for (let row = common.top; row < common.bottom; row++) {
      for (let column = common.left; column < common.right; column++) {
        const from = ((row - tile.top) * (tile.right - tile.left) + column - tile.left) * hyper;
        const to = ((row - outer.top) * width + column - outer.left) * hyper;
        for (let c = 0; c < hyper; c++) z[to + c] = known.z[from + c]! * hyperGain[c]!;
      }
    }
    const { rows, columns } = grid.coded(tile);
    const last = {
      row: Math.min(PER_CELL * common.bottom, PER_CELL * tile.top + rows),
      column: Math.min(PER_CELL * common.right, PER_CELL * tile.left + columns),
    };
    for (let row = PER_CELL * common.top; row < last.row; row++) {
      for (let column = PER_CELL * common.left; column < last.column; column++) {
        const position = (row - PER_CELL * tile.top) * columns + column - PER_CELL * tile.left;
        const gain = gains[known.qualityOf?.[position] ?? 0]!;
        const from = position * latents;
        const to = ((row - PER_CELL * outer.top) * PER_CELL * width + column - PER_CELL * outer.left) * latents;
        for (let c = 0; c < latents; c++) {
          const symbol = known.y[from + c]!;
          if (symbol !== 0) residual[to + c] = symbol * gain[c]!;
        }
      }
    }
  }
  return {
    residual: { shape: [1, PER_CELL * height, PER_CELL * width, latents], values: residual },
    z: { shape: [1, height, width, hyper], values: z },
    even: { shape: [1, PER_CELL * height, PER_CELL * width, 1], values: checkerboard(PER_CELL * height, PER_CELL * width) },
  };
}

function checkerboard(rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => 1 - ((Math.floor(i / columns) + (i % columns)) % 2));
}

function inCommon(a: Rectangle, b: Rectangle): Rectangle {
  return {
    top: Math.max(a.top, b.top),
    left: Math.max(a.left, b.left),
    bottom: Math.min(a.bottom, b.bottom),
    right: Math.min(a.right, b.right),
  };
}

/**
 * Put the inner part of a window into the picture, rounded to levels.
 *
 * `samples`: (3, 8, 8, rows of patches, columns of patches) over the outer part, less ½; 0 black and 1 white.
 */
export function paint(samples: Float32Array, window: Window, picture: Picture): void {
  const { outer, inner } = window;
  const perCell = CELL / PATCH;
  const across = perCell * (outer.right - outer.left);
  const size = across * perCell * (outer.bottom - outer.top);
  const top = CELL * inner.top;
  const bottom = Math.min(CELL * inner.bottom, picture.height);
  const left = CELL * inner.left;
  const right = Math.min(CELL * inner.right, picture.width);
  const grey = picture.format.channels === 1;
  for (let row = top; row < bottom; row++) {
    const y = row - CELL * outer.top;
    const start = (y % PATCH) * PATCH * size + Math.floor(y / PATCH) * across;
    for (let dx = 0; dx < PATCH; dx++) {
      // From patch to patch: neighbours in memory are samples at the same place of neighbouring patches.
      const from = start + dx * size - perCell * outer.left;
      if (grey) paintGrey(samples, from, size, picture, row, left + dx, right);
      else paintColours(samples, from, size, picture, row, left + dx, right);
    }
  }
}

function paintColours(
  samples: Float32Array,
  from: number,
  size: number,
  picture: Picture,
  row: number,
  left: number,
  right: number,
): void {
  const { data, channels, width, white } = picture;
  const clamps = data instanceof Uint8ClampedArray; // it rounds as well, as the assignment to a canvas does
  for (let channel = 0; channel < 3; channel++) {
    const first = from + channel * PATCH * PATCH * size;
    for (let column = left; column < right; column += PATCH) {
      const value = (samples[first + Math.floor(column / PATCH)]! + 0.5) * white;
      data[(row * width + column) * channels + channel] = clamps ? value : levelOf(value, white);
    }
  }
}

/** The three channels are three estimates of one grey, and their mean is the best of them. */
function paintGrey(
  samples: Float32Array,
  from: number,
  size: number,
  picture: Picture,
  row: number,
  left: number,
  right: number,
): void {
  const { data, channels, width, white } = picture;
  for (let column = left; column < right; column += PATCH) {
    let sum = 1;
    for (let channel = 0; channel < 3; channel++) {
      const sample = samples[from + channel * PATCH * PATCH * size + Math.floor(column / PATCH)]!;
      sum += levelOf((sample + 0.5) * white, white);
    }
    data[(row * width + column) * channels] = Math.floor(sum / 3);
  }
}

function levelOf(value: number, white: number): number {
  return Math.max(0, Math.min(white, Math.round(value)));
}
