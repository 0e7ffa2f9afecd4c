/** What all pictures of a page share: one worker that decodes, and turns, since each keeps all processors busy. */

import { openDecoder, type DecoderOptions } from "./browser.js";
import * as errors from "./errors.js";
import { loadInto, type Sink } from "./loading.js";
import type { FromWorker, ToWorker } from "./messages.js";

type Load = (url: string, signal: AbortSignal, sink: Sink) => Promise<void>;

let loader: Promise<Load> | undefined;
let last: Promise<unknown> = Promise.resolve();

/** Fetch and decode a picture, after those that were asked for before. Rejects as `loadInto`. */
export function load(url: string, signal: AbortSignal, sink: Sink): Promise<void> {
  const before = last;
  const loading = (async () => {
    await before.catch(() => undefined);
    signal.throwIfAborted();
    const now = await (loader ??= open());
    signal.throwIfAborted();
    return now(url, signal, sink);
  })();
  last = loading;
  return loading;
}

/**
 * What the page says of its decoder: `<meta name="glissando-models" content="URL">`, where the models are, beside the
 * script in "models/" unless given; `<meta name="glissando-engine" content="auto|wasm|webgpu">`, what computes.
 */
function options(): DecoderOptions {
  const said = (name: string): string | undefined =>
    document.querySelector<HTMLMetaElement>(`meta[name="glissando-${name}"]`)?.content;
  const engine = said("engine") ?? "auto";
  if (engine !== "auto" && engine !== "wasm" && engine !== "webgpu") {
    throw new errors.InputError(`the page asks for the engine "${engine}"; there are auto, wasm and webgpu`);
  }
  return {
    models: new URL(said("models") ?? new URL("./models/", import.meta.url), document.baseURI).href,
    engine,
    wasmPaths: new URL("./ort/", import.meta.url).href,
  };
}

/** The worker, or the page itself where there can be none, as with a script of another origin. */
async function open(): Promise<Load> {
  const chosen = options();
  try {
    const worker = new Worker(new URL("./glissando-worker.js", import.meta.url), { type: "module" });
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve();
      worker.onerror = reject;
    });
    return byWorker(worker, chosen);
  } catch {
    const decoder = openDecoder(chosen);
    return (url, signal, sink) => loadInto(decoder, url, signal, sink);
  }
}

function byWorker(worker: Worker, chosen: DecoderOptions): Load {
  const tell = (message: ToWorker): void => worker.postMessage(message);
  tell({ kind: "open", options: chosen });
  let count = 0;
  return (url, signal, sink) => {
    const id = count++;
    return new Promise((resolve, reject) => {
      const end = (finish: () => void): void => {
        worker.removeEventListener("message", listen);
        worker.removeEventListener("error", broken);
        signal.removeEventListener("abort", stop);
        finish();
      };
      const listen = ({ data }: MessageEvent<FromWorker>): void => {
        if (data.kind === "ready" || data.id !== id) return;
        try {
          if (data.kind === "start") sink.start(data.width, data.height);
          else if (data.kind === "rows") sink.rows(new Uint8ClampedArray(data.rgba), data.top, data.bottom);
          else if (data.kind === "done") end(resolve);
          else end(() => reject(signal.aborted ? signal.reason : errorOf(data.name, data.message)));
        } catch (error) {
          stop();
          end(() => reject(error));
        }
      };
      const broken = ({ message }: ErrorEvent): void =>
        end(() => reject(new errors.BackendError(`the worker that decodes has failed: ${message}`)));
      const stop = (): void => tell({ kind: "stop", id });
      worker.addEventListener("message", listen);
      worker.addEventListener("error", broken);
      signal.addEventListener("abort", stop);
      tell({ kind: "load", id, url });
    });
  };
}

/** An error that the worker told of, as an object of its class. */
function errorOf(name: string, message: string): Error {
  const found = (errors as Readonly<Record<string, new (message: string) => Error>>)[name];
  return found === undefined ? new Error(`${name}: ${message}`) : new found(message);
}
