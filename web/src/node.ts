/** The decoder in Node: models from a folder, or from a URL and then kept in a folder. */

import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { availableParallelism, homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Limits } from "./container/header.js";
import { Decoder } from "./decoder.js";
import type { Engine, Ort } from "./engine.js";
import { BackendError, UnknownModelError } from "./errors.js";
import { fetchBelow } from "./model/fetching.js";
import { ModelStore, type FileCache } from "./model/store.js";

export * from "./api.js";

export interface DecoderOptions {
  /** Where `glissando models --web DIR` wrote the models: a folder, or a URL. */
  readonly models: string | URL;
  /** The folder that keeps models that were fetched from a URL; "glissando-web" in the user's cache unless given. */
  readonly cache?: string;
  /** Threads of the networks; all processors unless given, and at most 4. */
  readonly threads?: number;
  readonly limits?: Partial<Limits>;
}

/** A decoder that computes by WebAssembly. */
export function openDecoder(options: DecoderOptions): Decoder {
  const models = String(options.models);
  const remote = /^https?:/.test(models);
  const store = remote
    ? new ModelStore(fetchBelow(models), new Folder(options.cache ?? userCache()))
    : new ModelStore(readBelow(models.startsWith("file:") ? fileURLToPath(models) : models));
  return new Decoder({ store, engine: () => engine(options.threads) }, options.limits);
}

async function engine(threads?: number): Promise<Engine> {
  let ort: Ort;
  try {
    ort = (await import("onnxruntime-web")) as unknown as Ort;
  } catch (error) {
    throw new BackendError(`onnxruntime-web cannot be loaded: ${error instanceof Error ? error.message : error}`);
  }
  ort.env.wasm.numThreads = threads ?? Math.min(4, availableParallelism());
  return { ort, provider: "wasm" };
}

function readBelow(folder: string): (path: string) => Promise<Uint8Array> {
  return async (path) => {
    try {
      return new Uint8Array(await readFile(join(folder, path)));
    } catch (error) {
      throw new UnknownModelError(
        `the file was made with model ${dirname(path)}, which is not in ${folder}: ${(error as Error).message}`,
      );
    }
  };
}

function userCache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "glissando-web");
}

/** Files in a folder, each written whole, or not at all where that is not possible. */
class Folder implements FileCache {
  constructor(private readonly folder: string) {}

  async get(key: string): Promise<Uint8Array | undefined> {
    return readFile(join(this.folder, key)).then((data) => new Uint8Array(data), () => undefined);
  }

  async put(key: string, data: Uint8Array): Promise<void> {
    const path = join(this.folder, key);
    const part = `${path}.${createHash("sha256").update(`${process.pid} ${performance.now()}`).digest("hex").slice(0, 8)}`;
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(part, data);
      await rename(part, path);
    } catch {
      // A folder that cannot be written to is no reason not to decode: the next program fetches the model again.
    }
  }
}
