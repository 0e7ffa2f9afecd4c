/** What a tile has beside latents: exact pixels, corrections, and opacity (docs/format.md). */

import { Cursor } from "./container/cursor.js";
import { ALPHA, CORRECTIONS, PIXELS } from "./container/header.js";
import { CorruptError } from "./errors.js";
import type { Rectangle } from "./geometry.js";
import { decodePlanes } from "./lossless/planes.js";
import type { Picture } from "./picture.js";

/** Streams of planes come green first; this is where each goes. */
const COLOUR_ORDER = [1, 0, 2];

/** Finish a tile's pixels, `place`, once the networks have painted them. Raises CorruptError. */
export function applyPlanes(picture: Picture, place: Rectangle, streams: ReadonlyMap<number, Uint8Array>): void {
  const exact = streams.get(PIXELS);
  const corrections = streams.get(CORRECTIONS);
  const alpha = streams.get(ALPHA);
  if (exact?.length) paste(picture, place, exact);
  else if (corrections?.length) correct(picture, place, corrections);
  if (alpha?.length) pasteAlpha(picture, place, alpha);
}

function colourPlanes(picture: Picture, place: Rectangle, data: Uint8Array, depth: number): Uint16Array {
  const { channels } = picture.format;
  return decodePlanes(data, channels, place.bottom - place.top, place.right - place.left, depth);
}

function paste(picture: Picture, place: Rectangle, data: Uint8Array): void {
  const planes = colourPlanes(picture, place, data, picture.format.depth);
  eachColour(picture, place, planes, (_, sample) => sample);
}

function correct(picture: Picture, place: Rectangle, data: Uint8Array): void {
  const cursor = new Cursor(data);
  const step = cursor.varint("correction_step", 1, 2 ** 15 - 1);
  const bits = Math.min(picture.format.depth + 1, 16);
  const planes = colourPlanes(picture, place, cursor.rest(), bits);
  const { white } = picture;
  eachColour(picture, place, planes, (before, steps) =>
    Math.max(0, Math.min(white, before + step * (steps - 2 ** (bits - 1)))),
  );
}

/** Change each sample of colour by the one of the planes at its place. */
function eachColour(
  picture: Picture,
  place: Rectangle,
  planes: Uint16Array,
  changed: (before: number, sample: number) => number,
): void {
  const { data, channels, width, format } = picture;
  let at = 0;
  for (let plane = 0; plane < format.channels; plane++) {
    const channel = format.channels === 1 ? 0 : COLOUR_ORDER[plane]!;
    for (let row = place.top; row < place.bottom; row++) {
      for (let column = place.left; column < place.right; column++) {
        const to = (row * width + column) * channels + channel;
        data[to] = changed(data[to]!, planes[at++]!);
      }
    }
  }
}

function pasteAlpha(picture: Picture, place: Rectangle, data: Uint8Array): void {
  const { white, width, channels, format } = picture;
  const cursor = new Cursor(data);
  const step = cursor.varint("alpha_step", 1, 2 ** 16 - 1);
  if (step > white) throw new CorruptError(`opacity of ${format.depth} bits has steps of ${step}`);
  const last = Math.ceil(white / step);
  const bits = 32 - Math.clz32(last);
  const steps = decodePlanes(cursor.rest(), 1, place.bottom - place.top, place.right - place.left, bits);
  let at = 0;
  for (let row = place.top; row < place.bottom; row++) {
    for (let column = place.left; column < place.right; column++) {
      const value = steps[at++]!;
      if (value > last) throw new CorruptError(`an opacity is ${value} steps of ${step}, which is beyond opaque`);
      const to = (row * width + column) * channels;
      picture.data[to + channels - 1] = Math.min(value * step, white);
      if (value === 0 && format.alpha === "straight") picture.data.fill(0, to, to + channels - 1);
    }
  }
}
