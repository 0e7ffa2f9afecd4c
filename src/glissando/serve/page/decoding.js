/** Files to pixels: in the browser where its decoder lies beside the page (glissando-web), else by the service. */

import * as api from "./api.js";

const at = (path) => new URL(`glissando-web/${path}`, import.meta.url).href;

/** Errors of what cannot be decoded here, and perhaps by the service. */
const BY_SERVICE = ["ModelError", "UnknownModelError", "ModelMismatchError", "BackendError", "UnsupportedError", "LimitError"];

/** What decodes: a function of a file and a signal, which gives what a canvas draws. */
export async function decoderOf({ decoder: installed, max_pixels: maxPixels }) {
  const byService = async (file, signal) => createImageBitmap(await api.decode(file, signal));
  if (!installed) return byService;
  let decoder;
  try {
    const { openDecoder } = await import("./glissando-web/glissando-web.js");
    decoder = openDecoder({ models: at("models/"), wasmPaths: at("ort/"), limits: { maxPixels } });
  } catch {
    return byService; // this browser cannot run it
  }
  return async (file, signal) => {
    let picture;
    try {
      picture = await decoder.decode(file, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!BY_SERVICE.includes(error.name)) throw error;
      return byService(file, signal);
    }
    // A canvas takes pixels for sRGB; the service's PNG has the picture's own profile or code points.
    if (picture.boxes.has("icc ") || picture.boxes.has("cicp")) return byService(file, signal);
    return createImageBitmap(new ImageData(picture.toRGBA(), picture.width, picture.height));
  };
}
