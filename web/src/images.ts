/** Makes `<img src="x.gliss">` work: such images get the decoded picture, as a PNG in memory, as their source. */

import { put } from "./element.js";
import { UnsupportedError } from "./errors.js";
import { load } from "./page.js";

/** The picture that each image shows, or is about to. */
const shown = new WeakMap<HTMLImageElement, { stop: AbortController; url?: string }>();

/** Look after all images of a document, those that it has and those that come. */
export function watch(root: Document): void {
  const look = (node: Node): void => {
    if (node instanceof HTMLImageElement) void replace(node);
    else if (node instanceof Element) node.querySelectorAll("img").forEach((image) => void replace(image));
  };
  new MutationObserver((changes) => {
    for (const { target, type, addedNodes } of changes) {
      if (type === "attributes") look(target);
      else addedNodes.forEach(look);
    }
  }).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] });
  look(root.documentElement);
}

/** Whether an address is that of one of our files, by its name. */
function isOurs(src: string): boolean {
  return /\.gliss$/i.test(new URL(src, document.baseURI).pathname);
}

async function replace(image: HTMLImageElement): Promise<void> {
  const src = image.getAttribute("src");
  const before = shown.get(image);
  if (src !== null && src === before?.url) return;
  before?.stop.abort();
  if (before?.url) URL.revokeObjectURL(before.url);
  shown.delete(image);
  if (src === null || !isOurs(src)) return;
  const stop = new AbortController();
  const now: { stop: AbortController; url?: string } = { stop };
  shown.set(image, now);
  try {
    const canvas = document.createElement("canvas");
    await load(new URL(src, document.baseURI).href, stop.signal, {
      start: (width, height) => ([canvas.width, canvas.height] = [width, height]),
      rows: (rgba, top, bottom) => put(canvas, rgba, top, bottom),
    });
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
    if (blob === null) {
      throw new UnsupportedError(`a picture of ${canvas.width}x${canvas.height} is too large for a canvas`);
    }
    if (stop.signal.aborted) return;
    image.dataset["glissSrc"] = src;
    image.src = now.url = URL.createObjectURL(blob);
  } catch (error) {
    if (stop.signal.aborted) return;
    image.dispatchEvent(new CustomEvent("gliss-error", { bubbles: true, detail: error }));
  }
}
