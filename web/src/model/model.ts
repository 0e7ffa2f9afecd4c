/** A model, fetched and ready: its integers, the vectors that depend on the quality, and its graph. */

import { Graph, type Ort, type Provider } from "../engine.js";
import { ModelMismatchError } from "../errors.js";
import { SymbolModel } from "../gains/symbols.js";
import { readArrays } from "./arrays.js";
import type { Card } from "./card.js";
import type { NumpyArray } from "./npz.js";
import { upTo, withWeights } from "./onnx.js";
import type { ModelStore } from "./store.js";

const FILES = ["integers.npz", "decoder.npz", "decode.onnx"] as const;
/** What makes the samples of patches. */
const LAST_LAYER = "synthesis.leave";
const VECTORS = ["means_offset", "synthesis_factor", "synthesis_offset"] as const;
export type VectorName = (typeof VECTORS)[number];

export class Model {
  private constructor(
    readonly card: Card,
    readonly symbols: SymbolModel,
    readonly graph: Graph,
    private readonly tables: ReadonlyMap<string, NumpyArray>,
  ) {}

  /**
   * Fetch a model, check its files and compile its graph.
   *
   * Raises UnknownModelError, ModelMismatchError where a file is not what the card says, UnsupportedError for a family
   * that this package does not decode, BackendError.
   */
  static async open(store: ModelStore, hash: string, ort: Ort, provider: Provider): Promise<Model> {
    const card = await store.card(hash);
    const [integers, decoder, graph] = await Promise.all(FILES.map((name) => store.file(card, name)));
    const weights = readArrays(decoder!);
    const tables = new Map<string, NumpyArray>();
    for (const name of VECTORS) {
      const table = weights.get(`${name}.table`);
      if (table === undefined) throw new ModelMismatchError(`model ${card.name}: decoder.npz has no ${name}.table`);
      tables.set(name, table);
    }
    const symbols = new SymbolModel(readArrays(integers!));
    const whole = withWeights(upTo(graph!, LAST_LAYER), weights);
    return new Model(card, symbols, await Graph.open(ort, whole, provider), tables);
  }

  /** The row of a level table of real numbers at a quality in 1/256 units. */
  vector(name: VectorName, units: number): Float32Array {
    const { shape, values } = this.tables.get(name)!;
    const [levels, channels] = [shape[0]!, shape[1]!];
    const position = (units / 25600) * (levels - 1);
    const low = Math.min(Math.floor(position), levels - 2);
    const part = position - low;
    return Float32Array.from(
      { length: channels },
      (_, c) => values[low * channels + c]! * (1 - part) + values[(low + 1) * channels + c]! * part,
    );
  }
}
