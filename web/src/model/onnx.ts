/**
 * Graphs in ONNX's own bytes: weights are joined to a graph that was written without them (docs/weights.md), and what
 * comes behind its last layer, which only moves samples about, is cut off: it is done faster while they are painted.
 */

import { textOf } from "../bytes.js";
import { ModelMismatchError } from "../errors.js";
import type { NumpyArray } from "./npz.js";

const PREFIX = "weight:";
// Field numbers of onnx.proto.
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const NODE_INPUT = 1;
const TENSOR = { dims: 1, type: 2, name: 8, raw: 9 };
const FLOAT = 1;
const GRAPH = { node: 1, input: 11, output: 12 };
const NODE_OUTPUT = 2;
const VALUE = { name: 1, type: 2 };
const TYPE_TENSOR = 1;
const ELEMENT_TYPE = 1;

/** The serialised graph up to a layer, whose result becomes the one output. Raises ModelMismatchError. */
export function upTo(graph: Uint8Array, layer: string): Uint8Array {
  const weights = `${PREFIX}${layer}.weight`;
  const kept: Uint8Array[] = [];
  for (const outer of fields(graph)) {
    if (outer.key !== MODEL_GRAPH) {
      kept.push(outer.whole);
      continue;
    }
    const parts: Uint8Array[] = [];
    const declared: { name: string; whole: Uint8Array }[] = [];
    const read = new Set<string>();
    let output: string | undefined;
    for (const { key, whole, value } of fields(outer.value)) {
      if (key === GRAPH.input) {
        declared.push({ name: texts(value, VALUE.name)[0] ?? "", whole });
      } else if (key === GRAPH.node) {
        if (output !== undefined) continue; // nodes stand in the order in which they are computed
        const inputs = texts(value, NODE_INPUT);
        inputs.forEach((name) => read.add(name));
        if (inputs.includes(weights)) output = texts(value, NODE_OUTPUT)[0];
        parts.push(whole);
      } else if (key !== GRAPH.output) {
        parts.push(whole);
      }
    }
    if (output === undefined) throw new ModelMismatchError(`no node of the graph has the weights ${weights}`);
    const type = field(VALUE.type, field(TYPE_TENSOR, number(ELEMENT_TYPE, FLOAT)));
    parts.push(...declared.filter(({ name }) => read.has(name)).map(({ whole }) => whole));
    parts.push(field(GRAPH.output, joined([field(VALUE.name, utf8(output)), type])));
    kept.push(field(MODEL_GRAPH, joined(parts)));
  }
  return joined(kept);
}

/** The fields of a message: number, all of its bytes, and those of its value. Raises ModelMismatchError. */
function* fields(data: Uint8Array): Generator<{ key: number; whole: Uint8Array; value: Uint8Array }> {
  let at = 0;
  const varintAt = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++];
      if (byte === undefined || shift > 63) throw new ModelMismatchError("the graph is cut short");
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const begin = at;
    const key = varintAt();
    const wire = key % 8;
    let start = at;
    if (wire === 0) {
      varintAt();
    } else if (wire === 2) {
      const length = varintAt();
      start = at;
      at += length;
    } else {
      at += wire === 1 ? 8 : 4;
    }
    if (at > data.length) throw new ModelMismatchError("the graph is cut short");
    yield { key: Math.floor(key / 8), whole: data.subarray(begin, at), value: data.subarray(start, at) };
  }
}

/** The texts of a message that have a field's number. */
function texts(message: Uint8Array, wanted: number): string[] {
  const found: string[] = [];
  for (const { key, value } of fields(message)) if (key === wanted) found.push(new TextDecoder().decode(value));
  return found;
}

/** The serialised graph with those weights that one of its nodes reads. */
export function withWeights(graph: Uint8Array, weights: ReadonlyMap<string, NumpyArray>): Uint8Array {
  const text = textOf(graph);
  const tensors: Uint8Array[] = [];
  for (const [name, { shape, values }] of weights) {
    const needed = textOf(field(NODE_INPUT, utf8(PREFIX + name)));
    if (text.includes(needed)) tensors.push(field(GRAPH_INITIALIZER, tensor(PREFIX + name, shape, Float32Array.from(values))));
  }
  return joined([graph, field(MODEL_GRAPH, joined(tensors))]);
}

function tensor(name: string, shape: readonly number[], values: Float32Array): Uint8Array {
  return joined([
    ...shape.map((side) => number(TENSOR.dims, side)),
    number(TENSOR.type, FLOAT),
    field(TENSOR.name, utf8(name)),
    field(TENSOR.raw, new Uint8Array(values.buffer)),
  ]);
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

function number(key: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(key << 3), ...varint(value)]);
}

function field(key: number, data: Uint8Array): Uint8Array {
  return joined([Uint8Array.from([...varint((key << 3) | 2), ...varint(data.length)]), data]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
