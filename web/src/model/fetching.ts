/** Files of models over the network. */

import { ModelError, UnknownModelError } from "../errors.js";

/** What gets a file by its path below a URL. */
export function fetchBelow(base: string): (path: string) => Promise<Uint8Array> {
  const root = base.endsWith("/") ? base : `${base}/`;
  return async (path) => {
    const url = new URL(path, root).href;
    let response: Response;
    try {
      response = await fetch(url);
    } catch (error) {
      throw new ModelError(`${url} cannot be fetched: ${error instanceof Error ? error.message : error}`);
    }
    if (response.status === 404 || response.status === 410) {
      throw new UnknownModelError(`the file was made with model ${path.split("/")[0]}, which is not at ${root}`);
    }
    if (!response.ok) throw new ModelError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}
