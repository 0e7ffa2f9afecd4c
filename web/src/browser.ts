/** The decoder in a browser: models from a URL, kept by the Cache API. */

import type { Limits } from "./container/header.js";
import { Decoder } from "./decoder.js";
import type { Engine, Ort, Provider } from "./engine.js";
import { BackendError } from "./errors.js";
import { fetchBelow } from "./model/fetching.js";
import { ModelStore, type FileCache } from "./model/store.js";

export * from "./api.js";

export interface DecoderOptions {
  /** Where the models are that `glissando models --web DIR` wrote. */
  readonly models: string | URL;
  /** What computes; "auto", unless given, is WebGPU where there is a graphics processor for it, else WebAssembly. */
  readonly engine?: "auto" | Provider;
  /** Threads of WebAssembly, at most 4; more than one only on pages that are isolated from other origins. */
  readonly threads?: number;
  /** Where onnxruntime-web finds its .wasm files, if not beside its own script. */
  readonly wasmPaths?: string;
  readonly limits?: Partial<Limits>;
}

export function openDecoder(options: DecoderOptions): Decoder {
  const base = absolute(options.models);
  const store = new ModelStore(fetchBelow(base), typeof caches === "undefined" ? undefined : new BrowserCache());
  const wanted = options.engine ?? "auto";
  return new Decoder(
    {
      store,
      engine: async () => engine(options, wanted === "auto" ? await best() : wanted),
      ...(wanted === "auto" ? { fallback: () => engine(options, "wasm") } : {}),
    },
    options.limits,
  );
}

async function engine(options: DecoderOptions, provider: Provider): Promise<Engine> {
  let ort: Ort;
  try {
    ort = (await (provider === "webgpu"
      ? import("onnxruntime-web/webgpu")
      : import("onnxruntime-web/wasm"))) as unknown as Ort;
  } catch (error) {
    throw new BackendError(`onnxruntime-web cannot be loaded: ${error instanceof Error ? error.message : error}`);
  }
  const { wasm } = ort.env;
  wasm.numThreads = crossOriginIsolated ? (options.threads ?? Math.min(4, navigator.hardwareConcurrency)) : 1;
  // In a page the networks run in a worker, so that the page stays alive; where this is a worker itself, they run here.
  wasm.proxy = provider === "wasm" && typeof document !== "undefined";
  if (options.wasmPaths !== undefined) wasm.wasmPaths = absolute(options.wasmPaths);
  return { ort, provider };
}

/** An address relative to the page, or to the worker's script. */
function absolute(url: string | URL): string {
  return new URL(String(url), typeof document === "undefined" ? location.href : document.baseURI).href;
}

/** WebGPU where there is an adapter that is no program itself, which would be slower than WebAssembly. */
async function best(): Promise<Provider> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  const software = adapter?.isFallbackAdapter || adapter?.info?.isFallbackAdapter;
  return adapter && !software ? "webgpu" : "wasm";
}

/** What we ask of a GPUAdapter; newer browsers tell in `info` whether it is a fallback. */
interface Adapter {
  readonly isFallbackAdapter?: boolean;
  readonly info?: { readonly isFallbackAdapter?: boolean };
}

const CACHE = "glissando-web";

/** Files in the browser's own cache. Where it is full, or switched off, files are fetched anew. */
class BrowserCache implements FileCache {
  async get(key: string): Promise<Uint8Array | undefined> {
    try {
      const found = await (await caches.open(CACHE)).match(this.url(key));
      return found && new Uint8Array(await found.arrayBuffer());
    } catch {
      return undefined;
    }
  }

  async put(key: string, data: Uint8Array): Promise<void> {
    try {
      await (await caches.open(CACHE)).put(this.url(key), new Response(data as Uint8Array<ArrayBuffer>));
    } catch {
      // A cache that cannot be written is no reason not to show a picture.
    }
  }

  /** The cache's keys are URLs; no such file is ever asked for over the network. */
  private url(key: string): string {
    return `https://glissando-web.invalid/${key}`;
  }
}
