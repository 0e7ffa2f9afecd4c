/** The transforms of a lossless WebP picture, undone (RFC 9649, 3.5). Pixels are 0xAARRGGBB. */

/** 0 predictor, 1 colours, 2 subtract green, 3 colour indexing. */
export interface Transform {
  readonly kind: number;
  /** Pixels of a row once it is undone. */
  readonly width: number;
  /** log2 of a block's side, or of the pixels that share one. */
  readonly bits: number;
  readonly data: Uint32Array;
}

export function undo(transform: Transform, pixels: Uint32Array, height: number): Uint32Array {
  switch (transform.kind) {
    case 0:
      return predicted(transform, pixels, height);
    case 1:
      return coloured(transform, pixels, height);
    case 2:
      return pixels.map((pixel) => {
        const green = (pixel >>> 8) & 255;
        return (pixel & 0xff00ff00) | ((((pixel >>> 16) + green) & 255) << 16) | ((pixel + green) & 255);
      });
    default:
      return indexed(transform, pixels, height);
  }
}

function predicted({ width, bits, data }: Transform, pixels: Uint32Array, height: number): Uint32Array {
  const across = Math.ceil(width / 2 ** bits);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      const mode = (data[(row >> bits) * across + (column >> bits)]! >>> 8) & 15;
      const prediction =
        row === 0
          ? column === 0
            ? 0xff000000
            : pixels[at - 1]!
          : column === 0
            ? pixels[at - width]!
            : predict(mode, pixels[at - 1]!, pixels[at - width]!, pixels[at - width + 1]!, pixels[at - width - 1]!);
      pixels[at] = perChannel(pixels[at]!, prediction, 0, plus);
    }
  }
  return pixels;
}

type OfChannels = (a: number, b: number, c: number) => number;

/** The same for each of the four channels, whose results are taken modulo 256. */
function perChannel(a: number, b: number, c: number, of: OfChannels): number {
  let result = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    result |= (of((a >>> shift) & 255, (b >>> shift) & 255, (c >>> shift) & 255) & 255) << shift;
  }
  return result;
}

const plus: OfChannels = (a, b) => a + b;
const clampedSum: OfChannels = (a, b, c) => Math.max(0, Math.min(255, a + b - c));
const clampedHalf: OfChannels = (a, b) => Math.max(0, Math.min(255, a + Math.trunc((a - b) / 2)));

function mean(a: number, b: number): number {
  return (a & b) + (((a ^ b) & 0xfefefefe) >>> 1);
}

/** The prediction from the pixels to the left, above, above right and above left. */
function predict(mode: number, left: number, top: number, topRight: number, topLeft: number): number {
  switch (mode) {
    case 1:
      return left;
    case 2:
      return top;
    case 3:
      return topRight;
    case 4:
      return topLeft;
    case 5:
      return mean(mean(left, topRight), top);
    case 6:
      return mean(left, topLeft);
    case 7:
      return mean(left, top);
    case 8:
      return mean(topLeft, top);
    case 9:
      return mean(top, topRight);
    case 10:
      return mean(mean(left, topLeft), mean(top, topRight));
    case 11:
      return apart(top, topLeft) < apart(left, topLeft) ? left : top;
    case 12:
      return perChannel(left, top, topLeft, clampedSum);
    case 13:
      return perChannel(mean(left, top), topLeft, 0, clampedHalf);
    default:
      return 0xff000000;
  }
}

/** How far two pixels are apart, over all channels. */
function apart(a: number, b: number): number {
  let sum = 0;
  for (let shift = 0; shift < 32; shift += 8) sum += Math.abs(((a >>> shift) & 255) - ((b >>> shift) & 255));
  return sum;
}

function coloured({ width, bits, data }: Transform, pixels: Uint32Array, height: number): Uint32Array {
  const across = Math.ceil(width / 2 ** bits);
  const signed = (value: number): number => (value << 24) >> 24;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      const factors = data[(row >> bits) * across + (column >> bits)]!;
      const pixel = pixels[at]!;
      const green = signed(pixel >>> 8);
      const red = (pixel >>> 16) + ((signed(factors) * green) >> 5);
      const blue = pixel + ((signed(factors >>> 8) * green) >> 5) + ((signed(factors >>> 16) * signed(red)) >> 5);
      pixels[at] = (pixel & 0xff00ff00) | ((red & 255) << 16) | (blue & 255);
    }
  }
  return pixels;
}

function indexed({ width, bits, data }: Transform, pixels: Uint32Array, height: number): Uint32Array {
  const together = 2 ** bits;
  const across = Math.ceil(width / together);
  const size = 8 / together;
  const result = new Uint32Array(height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const packed = (pixels[row * across + (column >> bits)]! >>> 8) & 255;
      const index = (packed >> (size * (column % together))) & ((1 << size) - 1);
      result[row * width + column] = data[index] ?? 0;
    }
  }
  return result;
}
