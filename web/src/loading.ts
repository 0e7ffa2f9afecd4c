/** From the address of a file to rows of pixels: the same in the page and in its worker. */

import type { Decoder } from "./decoder.js";
import { InputError } from "./errors.js";

/** What receives a picture. */
export interface Sink {
  /** The picture's size, before there are pixels. */
  start(width: number, height: number): void;
  /** Rows from `top` to `bottom` − 1: red, green, blue and opacity, 8 bits each. */
  rows(rgba: Uint8ClampedArray<ArrayBuffer>, top: number, bottom: number): void;
}

/** Fetch and decode a file. Rejects as `Decoder.decode`, with InputError where it cannot be fetched, or as stopped. */
export async function loadInto(decoder: Decoder, url: string, signal: AbortSignal, sink: Sink): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new InputError(`${url} cannot be fetched: ${error instanceof Error ? error.message : error}`);
  }
  if (!response.ok) throw new InputError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  await decoder.decode(response, {
    signal,
    onStart: ({ width, height }) => sink.start(width, height),
    onRows: (picture, top, bottom) => sink.rows(picture.toRGBA(top, bottom), top, bottom),
  });
}
