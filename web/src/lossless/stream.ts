/** Planes by method 0, predicted: weights, choices of tables and symbols (docs/format.md, "Planes"). */

import { Cursor } from "../container/cursor.js";
import { AnsDecoder } from "../entropy/ans.js";
import { CorruptError } from "../errors.js";
import { inflated } from "../inflate.js";
import { GRID, KINDS, newPlane, stages, type Features, type Plane, type Stage } from "./pyramid.js";
import { CHOICES, lowBitsOf, planeTables, rawTable, tableOf } from "./tables.js";

/** Weights of one plane in one kind of stage. */
interface Weights {
  readonly predictor: Int16Array;
  readonly spread: Int16Array;
}

interface PlanesHeader {
  /** For each plane the samples at multiples of 32, row by row. */
  readonly grid: Uint16Array;
  /** For each kind of stages, for each plane. */
  readonly weights: readonly (readonly Weights[])[];
  /** For each plane how the errors of each context are coded. */
  readonly choices: readonly Uint8Array[];
}

/** Planes of `depth` bits, one after the other: (planes, height, width). Raises FormatError for damaged bytes. */
export function decodeStream(data: Uint8Array, planes: number, height: number, width: number, depth: number): Uint16Array {
  const cursor = new Cursor(data);
  const header = readPlanesHeader(cursor, planes, height, width, depth);
  const decoder = new AnsDecoder(cursor.rest(), planeTables());
  const middle = 2 ** (depth - 1);
  const known = Array.from({ length: planes }, () => newPlane(height, width));
  putGrid(known, header.grid, height, width, middle);
  for (const stage of stages(height, width)) {
    const features = known.map((plane) => stage.look(plane));
    for (let k = 0; k < planes; k++) {
      const weights = header.weights[stage.kind]![k]!;
      const contexts = contextsOf(stage, features[k]!, known.slice(0, k), weights.spread, depth);
      const errors = decodeErrors(decoder, contexts, header.choices[k]!);
      putSamples(stage, features, known, k, weights.predictor, errors, depth);
    }
  }
  decoder.finish();
  const samples = new Uint16Array(planes * height * width);
  known.forEach((plane, k) => {
    for (let i = 0; i < height * width; i++) samples[k * height * width + i] = plane.samples[i]! + middle;
  });
  return samples;
}

function readPlanesHeader(cursor: Cursor, planes: number, height: number, width: number, depth: number): PlanesHeader {
  const packed = cursor.take(cursor.varint("header_length", 1, 2 ** 18), "header of planes");
  const gridSize = planes * Math.ceil(height / GRID) * Math.ceil(width / GRID);
  const contexts = contextCount(depth);
  let weightCount = 0;
  for (let k = 0; k < planes; k++) weightCount += 8 + 5 * k;
  const raw = inflated(packed, 2 * gridSize + 2 * KINDS * weightCount + planes * contexts, "the header of planes");
  const view = new DataView(raw.buffer);
  const grid = Uint16Array.from({ length: gridSize }, (_, i) => view.getUint16(2 * i, true));
  let at = 2 * gridSize;
  const take = (count: number): Int16Array =>
    Int16Array.from({ length: count }, () => view.getInt16((at += 2) - 2, true));
  const weights = Array.from({ length: KINDS }, () =>
    Array.from({ length: planes }, (_, k) => {
      const [predictor, spread] = [take(4 + 4 * k), take(4 + k)];
      if (predictor.every((weight) => weight === 0)) predictor.fill(1024, 1 + 4 * k, 3 + 4 * k);
      if (spread.every((weight) => weight === 0)) spread.fill(64, 0, 2);
      return { predictor, spread };
    }),
  );
  const choices = Array.from({ length: planes }, (_, k) => raw.subarray(at + k * contexts, at + (k + 1) * contexts));
  if (grid.some((sample) => sample >= 2 ** depth) || choices.some((of) => of.some((choice) => choice >= CHOICES))) {
    throw new CorruptError(`planes of ${depth} bits have a larger sample, or a context a choice that there is not`);
  }
  return { grid, weights, choices };
}

function contextCount(depth: number): number {
  return 4 * (depth + 4);
}

function putGrid(planes: readonly Plane[], grid: Uint16Array, height: number, width: number, middle: number): void {
  let at = 0;
  for (const { samples } of planes) {
    for (let row = 0; row < height; row += GRID) {
      for (let column = 0; column < width; column += GRID) samples[row * width + column] = grid[at++]! - middle;
    }
  }
}

const AS_FLOAT = new Float32Array(1);
const AS_BITS = new Uint32Array(AS_FLOAT.buffer);

/** The context of each sample's error, from how large the error is expected to be. */
function contextsOf(
  stage: Stage,
  features: Features,
  before: readonly Plane[],
  weights: Int16Array,
  depth: number,
): Uint8Array {
  const { along, across, error } = features;
  const contexts = new Uint8Array(stage.places.length);
  const last = contextCount(depth) - 1;
  const [a, b, c, d] = weights as unknown as [number, number, number, number];
  for (let i = 0; i < contexts.length; i++) {
    let expected = a * along[i]! + b * across[i]! + c * error[i]! + d;
    for (let k = 0; k < before.length; k++) expected += weights[4 + k]! * before[k]!.errors[stage.places[i]!]!;
    AS_FLOAT[0] = Math.max(expected, 16);
    contexts[i] = Math.min((AS_BITS[0]! >>> 21) - 524, last);
  }
  return contexts;
}

/** The errors of a pass, which come sorted by context, in the samples' order. They are known modulo 2^depth only. */
function decodeErrors(decoder: AnsDecoder, contexts: Uint8Array, choices: Uint8Array): Int32Array {
  const counts = new Int32Array(choices.length);
  for (let i = 0; i < contexts.length; i++) counts[contexts[i]!]!++;
  const runTables = Int32Array.from(choices, tableOf);
  const sorted = decoder.decodeRuns(runTables, counts);
  const starts = new Int32Array(counts.length);
  for (let c = 1; c < counts.length; c++) starts[c] = starts[c - 1]! + counts[c - 1]!;

  const bits = Int32Array.from(choices, lowBitsOf);
  const noisy = [...counts.keys()].filter((c) => bits[c]! > 0 && counts[c]! > 0);
  if (noisy.length > 0) {
    const lowest = decoder.decodeRuns(
      Int32Array.from(noisy, (c) => rawTable(bits[c]!)),
      Int32Array.from(noisy, (c) => counts[c]!),
    );
    let at = 0;
    for (const c of noisy) {
      const [n, half] = [bits[c]!, 2 ** (bits[c]! - 1)];
      for (let i = starts[c]!; i < starts[c]! + counts[c]!; i++) sorted[i] = (sorted[i]! << n) + lowest[at++]! + half;
    }
  }
  const errors = new Int32Array(contexts.length);
  for (let i = 0; i < errors.length; i++) errors[i] = sorted[starts[contexts[i]!]!++]!;
  return errors;
}

/** Make a plane's samples of a stage known: predictions plus errors, modulo 2^depth. */
function putSamples(
  stage: Stage,
  features: readonly Features[],
  planes: readonly Plane[],
  k: number,
  weights: Int16Array,
  errors: Int32Array,
  depth: number,
): void {
  const middle = 2 ** (depth - 1);
  const unused = 32 - depth;
  const plane = planes[k]!;
  const { places } = stage;
  for (let i = 0; i < places.length; i++) {
    const place = places[i]!;
    let sum = weights[0]! + 2048;
    for (let p = 0; p <= k; p++) {
      const { one, other, far } = features[p]!;
      sum += weights[1 + 4 * p]! * one[i]! + weights[2 + 4 * p]! * other[i]! + weights[3 + 4 * p]! * far[i]!;
      if (p < k) sum += weights[4 + 4 * p]! * planes[p]!.samples[place]!;
    }
    const prediction = Math.max(-middle, Math.min(middle - 1, Math.floor(sum / 4096)));
    // Shifts to the left and back take a number modulo 2^depth into the range around zero.
    plane.samples[place] = ((prediction + errors[i]!) << unused) >> unused;
    plane.errors[place] = Math.abs((errors[i]! << unused) >> unused);
  }
}
