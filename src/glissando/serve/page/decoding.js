/** Files to pixels: in the browser where its decoder lies beside the page, else by the service. */

import { decode } from "./api.js";

/** What decodes: a function of a file and a signal, which gives what a canvas draws. */
export function decoderOf() {
  return async (file, signal) => createImageBitmap(await decode(file, signal));
}
