/** The page's worker: it fetches and decodes, so that the page stays alive. */

import { openDecoder } from "./browser.js";
import type { Decoder } from "./decoder.js";
import { loadInto } from "./loading.js";
import type { FromWorker, ToWorker } from "./messages.js";

const page = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToWorker>) => void;
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
};

let decoder: Decoder | undefined;
const stops = new Map<number, AbortController>();

page.onmessage = ({ data }) => {
  if (data.kind === "open") decoder = openDecoder(data.options);
  else if (data.kind === "stop") stops.get(data.id)?.abort();
  else void load(data.id, data.url);
};
page.postMessage({ kind: "ready" });

async function load(id: number, url: string): Promise<void> {
  const stop = new AbortController();
  stops.set(id, stop);
  try {
    await loadInto(decoder!, url, stop.signal, {
      start: (width, height) => page.postMessage({ kind: "start", id, width, height }),
      rows: ({ buffer }, top, bottom) => page.postMessage({ kind: "rows", id, rgba: buffer, top, bottom }, [buffer]),
    });
    page.postMessage({ kind: "done", id });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    page.postMessage({ kind: "failed", id, name, message });
  } finally {
    stops.delete(id);
  }
}
