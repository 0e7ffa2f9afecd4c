/** The symbols of one tile of a model of the main family, from its streams through integers alone (docs/format.md). */

import { HYPER_LATENTS, LATENTS } from "../container/header.js";
import { AnsDecoder } from "../entropy/ans.js";
import type { IntegerArray } from "../entropy/dense.js";
import { dequantise, levelRow, tableIndex, type LevelTable } from "../entropy/fixed-point.js";
import { SymbolTables } from "../entropy/tables.js";
import { ModelMismatchError } from "../errors.js";
import { ScaleNetwork } from "./scale-network.js";

const LEVEL_TABLES = ["gain", "inverse_gain", "scale_offset", "hyper_gain", "hyper_scale"] as const;

/** A model's integers: level tables, scale network, probability tables. Raises ModelMismatchError. */
export class SymbolModel {
  readonly tables: SymbolTables;
  readonly network: ScaleNetwork;
  readonly latents: number;
  readonly hyper: number;
  readonly firstTable: readonly number[];
  private readonly levels = new Map<string, LevelTable>();

  constructor(arrays: ReadonlyMap<string, IntegerArray>) {
    const take = (name: string): IntegerArray => {
      const found = arrays.get(name);
      if (found === undefined) throw new ModelMismatchError(`the model's integers have no array ${name}`);
      return found;
    };
    for (const name of LEVEL_TABLES) {
      const { shape, values } = take(name);
      this.levels.set(name, { levels: shape[0]!, channels: shape[1]!, values });
    }
    this.tables = new SymbolTables(take("frequencies").values, Int32Array.from(take("radii").values));
    this.firstTable = Array.from(take("first_table").values);
    this.network = new ScaleNetwork(arrays);
    this.latents = this.levels.get("gain")!.channels;
    this.hyper = this.levels.get("hyper_gain")!.channels;
  }

  /** A row of a level table at a quality in 1/256 units. */
  row(name: (typeof LEVEL_TABLES)[number], units: number): Int32Array {
    return levelRow(this.levels.get(name)!, units);
  }
}

/** What the level tables say at the qualities that occur in a file; log-gains in 1/256 octave. */
export interface Rates {
  readonly hyperGain: Int32Array;
  readonly hyperScale: Int32Array;
  /** Of each quality that occurs. */
  readonly inverseGain: readonly Int32Array[];
  readonly scaleOffset: readonly Int32Array[];
}

/** `base`: the file's quality; `local`: those that occur in it, both in 1/256 units. */
export function ratesAt(model: SymbolModel, base: number, local: readonly number[]): Rates {
  return {
    hyperGain: model.row("hyper_gain", base),
    hyperScale: model.row("hyper_scale", base),
    inverseGain: local.map((units) => model.row("inverse_gain", units)),
    scaleOffset: local.map((units) => model.row("scale_offset", units)),
  };
}

/** The symbols of a tile. */
export interface TileSymbols {
  /** Hyper-latents (height, width, hyper), in cells. */
  readonly z: Int16Array;
  /** Latents (rows, columns, latents): those positions that begin in the picture. */
  readonly y: Int16Array;
  /** All symbols in the order in which they are coded, for the checksum. */
  readonly inOrder: readonly Int16Array[];
}

/** Where a tile's latents are, and which of the qualities that occur each has; undefined where all have the first. */
export interface TilePlace {
  readonly height: number;
  readonly width: number;
  readonly rows: number;
  readonly columns: number;
  readonly qualityOf?: Int16Array | undefined;
}

/** Raises CorruptError where a stream holds something else. */
export function decodeTile(
  model: SymbolModel,
  rates: Rates,
  streams: ReadonlyMap<number, Uint8Array>,
  place: TilePlace,
): TileSymbols {
  const { height, width, rows, columns } = place;
  const { latents, hyper, network, tables } = model;
  const half = latents / 2;
  const [earlyFirst, lateFirst] = model.firstTable as readonly [number, number];

  const hyperIndex = Int16Array.from(rates.hyperScale, (scale) => tableIndex(scale, earlyFirst, 0));
  const index = new Int16Array(height * width * hyper);
  for (let at = 0; at < index.length; at += hyper) index.set(hyperIndex, at);
  let decoder = new AnsDecoder(streams.get(HYPER_LATENTS)!, tables);
  const z = decoder.decode(index);
  decoder.finish();

  const scales = network.first(dequantise(z, rates.hyperGain), height, width, rows, columns);
  addOffsets(scales, rates.scaleOffset, place.qualityOf, latents);
  decoder = new AnsDecoder(streams.get(LATENTS)!, tables);
  const firstIndex = new Int16Array(rows * columns * half);
  for (let position = 0; position < rows * columns; position++) {
    const start = position * latents + (isEven(position, columns) ? 0 : half);
    for (let c = 0; c < half; c++) {
      firstIndex[position * half + c] = tableIndex(scales[start + c]!, earlyFirst, 0);
    }
  }
  const first = decoder.decode(firstIndex);
  const late = network.second(first, scales, rows, columns);
  const secondIndex = new Int16Array(late.length);
  for (let i = 0; i < late.length; i++) secondIndex[i] = tableIndex(late[i]!, lateFirst, 1);
  const second = decoder.decode(secondIndex);
  decoder.finish();

  const y = new Int16Array(rows * columns * latents);
  for (let position = 0; position < rows * columns; position++) {
    const even = isEven(position, columns);
    const part = position * half;
    y.set(first.subarray(part, part + half), position * latents + (even ? 0 : half));
    y.set(second.subarray(part, part + half), position * latents + (even ? half : 0));
  }
  return { z, y, inOrder: [z, first, second] };
}

/** A tile whose symbols are all zero, of which nothing is decoded. */
export function emptyTile(model: SymbolModel, place: TilePlace): TileSymbols {
  return {
    z: new Int16Array(place.height * place.width * model.hyper),
    y: new Int16Array(place.rows * place.columns * model.latents),
    inOrder: [],
  };
}

/** Whether a position, counted row by row from the tile's corner, is an even square of the checkerboard. */
function isEven(position: number, columns: number): boolean {
  return (Math.floor(position / columns) + (position % columns)) % 2 === 0;
}

function addOffsets(
  scales: Int32Array,
  offsets: readonly Int32Array[],
  qualityOf: Int16Array | undefined,
  latents: number,
): void {
  for (let position = 0; position * latents < scales.length; position++) {
    const row = offsets[qualityOf?.[position] ?? 0]!;
    for (let c = 0; c < latents; c++) scales[position * latents + c]! += row[c]!;
  }
}

