/** Networks run by onnxruntime-web. Nothing that they compute reaches the entropy decoder. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { BackendError } from "./errors.js";

/** What this package uses of onnxruntime-web, whichever of its builds it is. */
export interface Ort {
  readonly InferenceSession: {
    create(content: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => Tensor;
  readonly env: { wasm: { numThreads?: number; proxy?: boolean; wasmPaths?: unknown } };
}

/** What computes: WebAssembly, or the graphics processor through WebGPU. */
export type Provider = "wasm" | "webgpu";

/** A build of onnxruntime-web, loaded, and what it computes with. */
export interface Engine {
  readonly ort: Ort;
  readonly provider: Provider;
}

/** An array of real numbers with its shape. */
export interface Floats {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What runs, of each build of onnxruntime-web: its WebGPU build cannot run two things at once. */
const turns = new WeakMap<Ort, Promise<unknown>>();

/** A compiled graph with one output. Runs of all graphs of an engine wait for each other. */
export class Graph {
  private constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
    readonly provider: Provider,
  ) {}

  /** Compile a graph. Raises BackendError where the engine does not start or does not take it. */
  static async open(ort: Ort, content: Uint8Array, provider: Provider): Promise<Graph> {
    try {
      const session = await ort.InferenceSession.create(content, {
        executionProviders: [provider],
        logSeverityLevel: 3, // errors alone
      });
      return new Graph(ort, session, provider);
    } catch (error) {
      throw new BackendError(`onnxruntime-web (${provider}) cannot open the model: ${messageOf(error)}`);
    }
  }

  /** Run the graph; its output's numbers. The inputs' memory may be handed to a worker. Raises BackendError. */
  run(inputs: Readonly<Record<string, Floats>>): Promise<Float32Array> {
    const mine = (turns.get(this.ort) ?? Promise.resolve()).then(() => this.runNow(inputs));
    turns.set(this.ort, mine.catch(() => undefined));
    return mine;
  }

  private async runNow(inputs: Readonly<Record<string, Floats>>): Promise<Float32Array> {
    try {
      const tensors: Record<string, Tensor> = {};
      for (const [name, { shape, values }] of Object.entries(inputs)) {
        if (this.session.inputNames.includes(name)) tensors[name] = new this.ort.Tensor("float32", values, shape);
      }
      const results = await this.session.run(tensors);
      const output = results[this.session.outputNames[0]!]!;
      const data = (await output.getData()) as Float32Array;
      output.dispose();
      return data;
    } catch (error) {
      throw new BackendError(`onnxruntime-web (${this.provider}) failed: ${messageOf(error)}`);
    }
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

function messageOf(error: unknown): string {
  return String(error instanceof Error ? error.message : error).slice(0, 300);
}
