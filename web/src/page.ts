/** What all pictures of a page share: one decoder, and turns, since each picture keeps all processors busy. */

import { openDecoder } from "./browser.js";
import type { DecodeOptions, Decoder } from "./decoder.js";
import { InputError } from "./errors.js";
import type { Picture } from "./picture.js";

let decoder: Decoder | undefined;
let last: Promise<unknown> = Promise.resolve();

/**
 * The page's decoder, opened when it is first needed.
 *
 * `<meta name="glissando-models" content="URL">` says where the models are, beside the script in "models/" unless given;
 * `<meta name="glissando-engine" content="auto|wasm|webgpu">` what computes, "auto" unless given.
 */
function pageDecoder(): Decoder {
  const said = (name: string): string | undefined =>
    document.querySelector<HTMLMetaElement>(`meta[name="glissando-${name}"]`)?.content;
  const engine = said("engine") ?? "auto";
  if (engine !== "auto" && engine !== "wasm" && engine !== "webgpu") {
    throw new InputError(`the page asks for the engine "${engine}"; there are auto, wasm and webgpu`);
  }
  decoder ??= openDecoder({
    models: said("models") ?? new URL("./models/", import.meta.url),
    engine,
    wasmPaths: new URL("./ort/", import.meta.url).href,
  });
  return decoder;
}

/** Fetch and decode a picture, after those that were asked for before. Rejects as `Decoder.decode`, and InputError. */
export async function load(url: string, options: DecodeOptions): Promise<Picture> {
  const arriving = fetch(url, options.signal ? { signal: options.signal } : {});
  arriving.catch(() => undefined); // it is waited for below
  const before = last;
  const decoding = (async () => {
    await before.catch(() => undefined);
    let response: Response;
    try {
      response = await arriving;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw new InputError(`${url} cannot be fetched: ${error instanceof Error ? error.message : error}`);
    }
    if (!response.ok) throw new InputError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
    return pageDecoder().decode(response, options);
  })();
  last = decoding;
  return decoding;
}
