/**
 * Planes by method 1: a lossless WebP picture (RFC 9649, section 3), opaque and of a known size.
 *
 * In plain code, since Node has no decoder for it, and a browser's gives its pixels through a canvas alone.
 */

import { textOf } from "../bytes.js";
import { CorruptError } from "../errors.js";
import { BitReader, PrefixCode } from "./webp-bits.js";
import { undo, type Transform } from "./webp-transforms.js";

const HEAD = 25;
const SIGNATURE = 0x2f;

/** Places of earlier pixels that have codes of their own: in each byte the rows up, and 8 less the columns left. */
const NEAR = (
  "1807171928062729161a262a38053739151b363a252b48044749141c353b464a242c58454b343c035759131d565a232d444c555b333d6802" +
  "6769121e666a222e545c434d656b323e78017779535d111f646c424e767a212f757b313f636d525e00747c414f1020626e30737d515f4072" +
  "7e616f50717f6070"
)
  .match(/../g)!
  .map((byte) => parseInt(byte, 16));

/** The planes of a file of this size, (planes, height, width). Raises CorruptError for any other. */
export function decodeWebp(data: Uint8Array, planes: number, height: number, width: number, depth: number): Uint16Array {
  if ((planes !== 1 && planes !== 3) || depth > 8) {
    throw new CorruptError(`${planes} planes of ${depth} bits are coded as WebP, which holds one or three of 8`);
  }
  checkHead(data, height, width);
  const pixels = readPicture(new BitReader(data, HEAD), height, width);
  const samples = new Uint16Array(planes * height * width);
  const limit = 2 ** depth;
  for (let i = 0; i < pixels.length; i++) {
    for (let plane = 0; plane < planes; plane++) {
      const sample = (pixels[i]! >>> (16 - 8 * plane)) & 255;
      if (sample >= limit) {
        throw new CorruptError(`planes of ${depth} bits are coded as a WebP picture with a sample of ${sample}`);
      }
      samples[plane * pixels.length + i] = sample;
    }
  }
  return samples;
}

function checkHead(data: Uint8Array, height: number, width: number): void {
  const text = textOf(data.subarray(0, 4)) + textOf(data.subarray(8, 16));
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const whole =
    data.length >= HEAD && text === "RIFFWEBPVP8L" && data[20] === SIGNATURE && view.getUint32(4, true) === data.length - 8;
  if (whole) {
    const chunk = view.getUint32(16, true);
    const size = view.getUint32(21, true); // width − 1 and height − 1 of 14 bits, alpha_is_used, version
    const fits = chunk + (chunk % 2) === data.length - 20;
    if (fits && size === width - 1 + (height - 1) * 2 ** 14) return;
  }
  throw new CorruptError(`planes of ${width}x${height} should be coded as an opaque lossless WebP picture of that size`);
}

/** Pixels as 0xAARRGGBB. */
function readPicture(reader: BitReader, height: number, width: number): Uint32Array {
  const transforms: Transform[] = [];
  let packedWidth = width;
  while (reader.bits(1) === 1) {
    const kind = reader.bits(2);
    if (transforms.some((transform) => transform.kind === kind)) throw new CorruptError("a WebP transform occurs twice");
    if (kind === 2) {
      transforms.push({ kind, width: packedWidth, bits: 0, data: new Uint32Array(0) });
    } else if (kind === 3) {
      const size = reader.bits(8) + 1;
      const data = readPixels(reader, 1, size, false);
      for (let i = 1; i < size; i++) data[i] = added(data[i]!, data[i - 1]!);
      const bits = size <= 2 ? 3 : size <= 4 ? 2 : size <= 16 ? 1 : 0;
      transforms.push({ kind, width: packedWidth, bits, data });
      packedWidth = Math.ceil(packedWidth / 2 ** bits);
    } else {
      const bits = reader.bits(3) + 2;
      const side = 2 ** bits;
      const data = readPixels(reader, Math.ceil(height / side), Math.ceil(packedWidth / side), false);
      transforms.push({ kind: kind as 0 | 1, width: packedWidth, bits, data });
    }
  }
  let pixels: Uint32Array = readPixels(reader, height, packedWidth, true);
  for (const transform of transforms.reverse()) pixels = undo(transform, pixels, height);
  return pixels;
}

/** Two pixels added, each channel modulo 256. */
function added(a: number, b: number): number {
  return ((((a & 0xff00ff00) >>> 0) + ((b & 0xff00ff00) >>> 0)) & 0xff00ff00) | (((a & 0xff00ff) + (b & 0xff00ff)) & 0xff00ff);
}

/** A picture of pixels that are not transformed any more; `grouped`: it may have several groups of codes. */
function readPixels(reader: BitReader, height: number, width: number, grouped: boolean): Uint32Array<ArrayBuffer> {
  const cacheBits = reader.bits(1) ? reader.bits(4) : 0;
  if (cacheBits > 11) throw new CorruptError(`a WebP picture has a colour cache of ${cacheBits} bits`);
  const cache = new Uint32Array(cacheBits ? 2 ** cacheBits : 0);
  let groupBits = 31;
  let groupOf = new Uint32Array(1);
  let groupsAcross = 1;
  if (grouped && reader.bits(1)) {
    groupBits = reader.bits(3) + 2;
    groupsAcross = Math.ceil(width / 2 ** groupBits);
    groupOf = readPixels(reader, Math.ceil(height / 2 ** groupBits), groupsAcross, false);
    for (let i = 0; i < groupOf.length; i++) groupOf[i] = (groupOf[i]! >>> 8) & 0xffff;
  }
  const groups: PrefixCode[][] = [];
  const count = groupOf.reduce((most, group) => Math.max(most, group), 0) + 1;
  for (let i = 0; i < count; i++) {
    groups.push([280 + cache.length, 256, 256, 256, 40].map((size) => PrefixCode.read(reader, size)));
  }

  const pixels = new Uint32Array(height * width);
  let cached = 0; // pixels that are in the cache
  for (let at = 0; at < pixels.length; ) {
    const row = Math.floor(at / width);
    const column = at - row * width;
    const codes = groups[groupOf[(row >> groupBits) * groupsAcross + (column >> groupBits)]!]!;
    const symbol = codes[0]!.next(reader);
    if (symbol < 256) {
      const red = codes[1]!.next(reader);
      const blue = codes[2]!.next(reader);
      pixels[at++] = (codes[3]!.next(reader) << 24) | (red << 16) | (symbol << 8) | blue;
    } else if (symbol < 280) {
      const length = prefixed(reader, symbol - 256);
      const distance = distanceOf(prefixed(reader, codes[4]!.next(reader)), width);
      if (distance > at || at + length > pixels.length) throw new CorruptError("a WebP picture copies what is not there");
      for (let i = 0; i < length; i++, at++) pixels[at] = pixels[at - distance]!;
    } else {
      for (; cached < at; cached++) cache[hash(pixels[cached]!, cacheBits)] = pixels[cached]!;
      pixels[at++] = cache[symbol - 280]!;
    }
  }
  return pixels;
}

function hash(pixel: number, bits: number): number {
  return Math.imul(0x1e35a7bd, pixel) >>> (32 - bits);
}

/** A length or a distance, from 1 on, whose size the prefix tells. */
function prefixed(reader: BitReader, prefix: number): number {
  if (prefix < 4) return prefix + 1;
  const extra = (prefix - 2) >> 1;
  return ((2 + (prefix & 1)) << extra) + reader.bits(extra) + 1;
}

function distanceOf(code: number, width: number): number {
  if (code > NEAR.length) return code - NEAR.length;
  const near = NEAR[code - 1]!;
  return Math.max(1, (near >> 4) * width + 8 - (near & 15));
}
