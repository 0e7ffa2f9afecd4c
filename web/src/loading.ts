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

/** Milliseconds without a byte after which a download is given up: other pictures wait for their turn. */
const PATIENCE = 30_000;

/** Fetch and decode a file. Rejects as `Decoder.decode`, with InputError where it cannot be fetched, or as stopped. */
export async function loadInto(decoder: Decoder, url: string, stopped: AbortSignal, sink: Sink): Promise<void> {
  const stalled = new AbortController();
  const signal = AbortSignal.any([stopped, stalled.signal]);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    const reason = new InputError(`${url} cannot be fetched: nothing came for ${PATIENCE / 1000} seconds`);
    timer = setTimeout(() => stalled.abort(reason), PATIENCE);
  };
  const watched = new TransformStream<Uint8Array, Uint8Array>({
    transform: (part, out) => {
      wait();
      out.enqueue(part);
    },
    flush: () => clearTimeout(timer),
  });
  wait();
  try {
    const response = await fetched(url, signal);
    const body = response.body?.pipeThrough(watched) ?? null;
    await decoder.decode(new Response(body, { headers: response.headers }), {
      signal,
      onStart: ({ width, height }) => sink.start(width, height),
      onRows: (picture, top, bottom) => sink.rows(picture.toRGBA(top, bottom), top, bottom),
    });
  } finally {
    clearTimeout(timer);
  }
}

async function fetched(url: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new InputError(`${url} cannot be fetched: ${error instanceof Error ? error.message : error}`);
  }
  if (!response.ok) throw new InputError(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  return response;
}
