/** Decoding: the order of the steps from the bytes of a file to pixels, a row of windows after the other. */

import { crc32, crc32OfSymbols } from "./container/crc32.js";
import {
  ALPHA,
  CORRECTIONS,
  DEFAULT_LIMITS,
  formatName,
  HYPER_LATENTS,
  LATENTS,
  MAP,
  NO_MODEL,
  PIXELS,
  QUALITY_FIELD_BOX,
  type Limits,
} from "./container/header.js";
import { Reader, type Tile } from "./container/reader.js";
import { sourceOf, type Input } from "./container/source.js";
import type { Engine, Floats } from "./engine.js";
import { BackendError, CorruptError, TruncatedError, UnsupportedError } from "./errors.js";
import { decodeTile, emptyTile, ratesAt, type Rates } from "./gains/symbols.js";
import { paint, vectorsAt, windowInputs, type KnownTile } from "./gains/windows.js";
import { Grid, type Window } from "./geometry.js";
import { Model } from "./model/model.js";
import type { ModelStore } from "./model/store.js";
import { Picture } from "./picture.js";
import { applyPlanes } from "./planes.js";
import { readPalette, decodeField } from "./quality-field.js";

/** Cells (1,536 pixels): the longest side of what the networks run over at once, without the halo. */
const WINDOW = 24;
/** More bytes than this, and as many as six for each pixel, no file needs that is accepted. */
const MAX_OVERHEAD = 2 ** 25;
const MIN_DEPTH = 8;
/** Milliseconds after which other tasks of the page or the program get their turn. */
const TURN = 30;

export interface DecodeOptions {
  /** Called once the header is read: the picture has its size, and no pixels yet. */
  readonly onStart?: (picture: Picture) => void;
  /** Called whenever more rows of the picture are final: those from `top` to `bottom` − 1. */
  readonly onRows?: (picture: Picture, top: number, bottom: number) => void;
  /** Stops decoding: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a platform, a browser or Node, brings along. */
export interface Platform {
  readonly store: ModelStore;
  /** The engine, loaded when the first model is opened. */
  engine(): Promise<Engine>;
  /** The engine to take where the other cannot open a model; none unless given. */
  fallback?(): Promise<Engine>;
}

/** Decodes files. Models are fetched when a file first needs them, and kept until it is closed. */
export class Decoder {
  private readonly models = new Map<string, Promise<Model>>();
  private readonly limits: Limits;

  constructor(
    private readonly platform: Platform,
    limits: Partial<Limits> = {},
  ) {
    this.limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /**
   * Decode a file, all of it or as it arrives.
   *
   * Rejects with FormatError where the bytes are no file that can be decoded, with ModelError where its model cannot be
   * had or run, both of them classes of this package.
   */
  async decode(input: Input, options: DecodeOptions = {}): Promise<Picture> {
    const source = sourceOf(input, 6 * this.limits.maxPixels + MAX_OVERHEAD);
    try {
      const reader = await Reader.open(source, this.limits);
      reader.checkLength();
      const { format, modelHash } = reader.header;
      if (format.depth < MIN_DEPTH) {
        throw new UnsupportedError(
          `the file has ${formatName(format)} pixels; only samples of ${MIN_DEPTH} bits and more can be decoded`,
        );
      }
      const boxes = new Map<string, Uint8Array>();
      for (const name of reader.header.boxes.keys()) boxes.set(name, (await reader.box(name))!);
      const palette = boxes.get(QUALITY_FIELD_BOX);
      boxes.delete(QUALITY_FIELD_BOX);
      const picture = new Picture(reader.header.width, reader.header.height, format, boxes);
      options.onStart?.(picture);
      const model = modelHash === NO_MODEL ? undefined : await this.model(modelHash);
      const decoding = new Decoding(reader, picture, options);
      if (model === undefined) await decoding.exactly();
      else await decoding.by(model, palette === undefined ? [0] : readPalette(palette), palette !== undefined);
      await reader.checkEnd();
      return picture;
    } finally {
      await source.cancel().catch(() => undefined);
    }
  }

  /** The model with a hash, fetched at most once. Rejects as `decode`. */
  async model(hash: string): Promise<Model> {
    let found = this.models.get(hash);
    if (found === undefined) {
      found = this.open(hash);
      this.models.set(hash, found);
      found.catch(() => this.models.delete(hash));
    }
    return found;
  }

  private async open(hash: string): Promise<Model> {
    const { store } = this.platform;
    try {
      const { ort, provider } = await this.platform.engine();
      return await Model.open(store, hash, ort, provider);
    } catch (error) {
      if (!(error instanceof BackendError) || this.platform.fallback === undefined) throw error;
      const { ort, provider } = await this.platform.fallback();
      return Model.open(store, hash, ort, provider);
    }
  }

  /** Let go of all models. */
  async close(): Promise<void> {
    const models = [...this.models.values()];
    this.models.clear();
    for (const model of models) await model.then(({ graph }) => graph.close()).catch(() => undefined);
  }
}

/** The decoding of one file. */
class Decoding {
  private readonly grid: Grid;
  /** The streams of planes of those tiles that are not finished yet. */
  private readonly streams = new Map<number, ReadonlyMap<number, Uint8Array>>();
  private finishedTileRows = 0;
  private turn = performance.now();

  constructor(
    private readonly reader: Reader,
    private readonly picture: Picture,
    private readonly options: DecodeOptions,
  ) {
    const { width, height, tileLog2 } = reader.header;
    this.grid = new Grid(width, height, tileLog2);
  }

  /** A file without a model, of which every tile is exact. */
  async exactly(): Promise<void> {
    for (let number = 0; number < this.grid.tileCount; number++) {
      const tile = await this.tile(number);
      this.naming(number, () => {
        checkStreams(tile, [PIXELS], [PIXELS, ALPHA]);
        checkTile(tile, []);
      });
      this.streams.set(number, tile.streams);
      if ((number + 1) % this.grid.tilesAcross === 0) await this.finish(this.grid.tile(number).bottom);
    }
  }

  /** A file of a model. `offsets`: those of the quality that occur; `field`: whether tiles have maps of them. */
  async by(model: Model, offsets: readonly number[], field: boolean): Promise<void> {
    const { grid, reader } = this;
    const base = reader.header.quality;
    const local = offsets.map((offset) => Math.max(0, Math.min(25600, base + offset)));
    const rates = ratesAt(model.symbols, base, local);
    const { halo } = model.card;
    // While the file arrives, lower windows show the first rows sooner, at the cost of more halo.
    const early = this.options.onRows !== undefined && !reader.complete;
    const tiles = new Map<number, KnownTile>();
    for (const windows of grid.rowsOfWindows(WINDOW, halo, early)) {
      const { top, bottom } = windows[0]!.outer;
      const seen = grid.tilesOver({ top, bottom, left: 0, right: grid.columns });
      for (const number of tiles.keys()) if (number < seen[0]!) tiles.delete(number);
      for (const number of seen) {
        if (!tiles.has(number)) tiles.set(number, await this.known(number, model, rates, field ? offsets.length : 0));
      }
      for (const window of windows) {
        await this.paint(model, window, () => ({
          ...windowInputs(grid, window, tiles, rates),
          ...vectorsAt(model, base, local),
        }));
      }
      await this.finish(windows[0]!.inner.bottom);
    }
  }

  private async tile(number: number): Promise<Tile> {
    const tile = await this.reader.tile(number);
    this.options.signal?.throwIfAborted();
    if (performance.now() - this.turn > TURN) {
      await new Promise((resolve) => setTimeout(resolve));
      this.turn = performance.now();
    }
    const opaque = this.picture.format.alpha === "none";
    if (tile.streams.has(ALPHA) === opaque) {
      const found = opaque ? "a stream" : "no stream";
      throw new CorruptError(`a file of ${formatName(this.picture.format)} pixels has ${found} of opacity`);
    }
    return tile;
  }

  /** A tile's symbols, compared with its checksum. `palette`: how many offsets of the quality there are, 0 without a field. */
  private async known(number: number, model: Model, rates: Rates, palette: number): Promise<KnownTile> {
    const tile = await this.tile(number);
    this.streams.set(number, tile.streams);
    return this.naming(number, () => {
      const needed = [HYPER_LATENTS, LATENTS, ...(palette > 0 ? [MAP] : [])];
      checkStreams(tile, needed, [...needed, PIXELS, CORRECTIONS, ALPHA]);
      const area = this.grid.tile(number);
      const { rows, columns } = this.grid.coded(area);
      const field = palette > 0 ? decodeField(tile.streams.get(MAP)!, rows, columns, palette) : undefined;
      const qualityOf = field?.index;
      const place = { height: area.bottom - area.top, width: area.right - area.left, rows, columns, qualityOf };
      const empty = tile.streams.get(HYPER_LATENTS)!.length === 0 && tile.streams.get(LATENTS)!.length === 0;
      const symbols =
        tile.streams.get(PIXELS)?.length && empty
          ? emptyTile(model.symbols, place)
          : decodeTile(model.symbols, rates, tile.streams, place);
      checkTile(tile, [...symbols.inOrder, ...(field?.passes ?? [])]);
      return { z: symbols.z, y: symbols.y, qualityOf };
    });
  }

  private async paint(model: Model, window: Window, inputs: () => Record<string, Floats>): Promise<void> {
    const covered = this.grid.tilesOver(window.inner);
    if (covered.every((number) => this.streams.get(number)?.get(PIXELS)?.length)) return; // exact tiles cover all of it
    const samples = await model.graph.run(inputs());
    this.options.signal?.throwIfAborted();
    paint(samples, window, this.picture);
  }

  /** Finish those rows of tiles that are painted, as far as row `bottom` of cells, and tell of their pixels. */
  private async finish(bottom: number): Promise<void> {
    const { grid, picture } = this;
    const first = this.finishedTileRows;
    while (this.finishedTileRows < grid.tilesDown) {
      const start = this.finishedTileRows * grid.tilesAcross;
      if (grid.tile(start).bottom > bottom) break;
      for (let number = start; number < start + grid.tilesAcross; number++) {
        const streams = this.streams.get(number)!;
        this.naming(number, () => applyPlanes(picture, grid.pixelsOf(number), streams));
        this.streams.delete(number);
      }
      this.finishedTileRows++;
    }
    if (this.finishedTileRows === first) return;
    const top = grid.pixelsOf(first * grid.tilesAcross).top;
    this.options.onRows?.(picture, top, grid.pixelsOf((this.finishedTileRows - 1) * grid.tilesAcross).bottom);
  }

  /** Add the tile's number to errors about what its streams hold, which may also end too early. */
  private naming<T>(number: number, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof CorruptError || error instanceof TruncatedError)) throw error;
      throw new CorruptError(`tile ${number} of ${this.grid.tileCount}: ${error.message}`);
    }
  }
}

function checkStreams(tile: Tile, needed: readonly number[], allowed: readonly number[]): void {
  const found = [...tile.streams.keys()];
  if (needed.some((id) => !tile.streams.has(id)) || found.some((id) => !allowed.includes(id))) {
    throw new CorruptError(`streams ${needed.join(", ")} are needed, the file has ${found.join(", ")}`);
  }
}

/** Raises CorruptError unless these symbols, in decoding order, are those that the tile was made from. */
function checkTile(tile: Tile, symbols: readonly Int16Array[]): void {
  let crc = 0;
  for (const part of symbols) crc = crc32OfSymbols(part, crc);
  for (const id of [PIXELS, CORRECTIONS, ALPHA]) crc = crc32(tile.streams.get(id) ?? new Uint8Array(0), crc);
  if (crc !== tile.checksum) {
    const [found, said] = [crc, tile.checksum].map((value) => value.toString(16).padStart(8, "0"));
    throw new CorruptError(`the tile has the checksum ${found}, the file says ${said}`);
  }
}
