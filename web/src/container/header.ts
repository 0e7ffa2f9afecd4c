/** The header of a file: what it says of its picture, and where its boxes and tiles lie (docs/format.md, "Header"). */

import { textOf } from "../bytes.js";
import { CorruptError, LimitError, SignatureError, VersionError } from "../errors.js";
import { crc32 } from "./crc32.js";
import { Cursor } from "./cursor.js";

export const HYPER_LATENTS = 1;
export const LATENTS = 2;
export const MAP = 3;
export const PIXELS = 4;
export const CORRECTIONS = 5;
export const ALPHA = 6;

/** The model hash of a file of which every tile is exact, so that no model takes part. */
export const NO_MODEL = "0000000000000000";
/** The box that holds the palette of a quality field. */
export const QUALITY_FIELD_BOX = "Qfld";

const VERSION = 1;
const SIGNATURE = Uint8Array.of(0x89, 0x47, 0x4c, 0x53, 0x0d, 0x0a, 0x1a, 0x0a);
const ALPHAS = ["none", "straight", "exact"] as const;

/** What opacity a picture has; below "exact" colours count where it is 0, too. */
export type Alpha = (typeof ALPHAS)[number];

/** What a pixel is made of. */
export interface PixelFormat {
  /** Channels of colour: 1 for grey, 3 for red, green and blue. */
  readonly channels: 1 | 3;
  /** Bits of a sample, 1 to 16. */
  readonly depth: number;
  readonly alpha: Alpha;
}

export interface BoxSpan {
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

export interface Header {
  readonly version: number;
  readonly format: PixelFormat;
  /** 16 hex digits. */
  readonly modelHash: string;
  readonly width: number;
  readonly height: number;
  /** In units of 1/256: 15360 is quality 60. */
  readonly quality: number;
  /** Tiles are 2^tileLog2 pixels wide and high. */
  readonly tileLog2: number;
  /** Bytes of the header with its CRC; the first box follows. */
  readonly headerBytes: number;
  /** Where each box lies, by its type, in file order. */
  readonly boxes: ReadonlyMap<string, BoxSpan>;
  /** The kinds of streams that every tile has, ascending. */
  readonly streamIds: readonly number[];
  /** Where each stream begins, tile after tile, and at last where the file ends. */
  readonly offsets: Float64Array;
  /** The checksum of each tile. */
  readonly checksums: Uint32Array;
}

/** What a reader accepts; larger files raise LimitError. */
export interface Limits {
  /** Width times height. */
  readonly maxPixels: number;
  /** Bytes of all boxes together. */
  readonly maxMetadataBytes: number;
  readonly maxTiles: number;
}

/** A page must not freeze over one picture: fewer pixels than Python accepts, and still 67 megapixels. */
export const DEFAULT_LIMITS: Limits = { maxPixels: 2 ** 26, maxMetadataBytes: 2 ** 24, maxTiles: 2 ** 16 };

/** Bytes of the whole file. */
export function fileBytes(header: Header): number {
  return header.offsets[header.offsets.length - 1]!;
}

/**
 * The header at the beginning of `data`, which may hold more or fewer bytes than the file.
 *
 * Raises TruncatedError where `data` ends before the header does, and SignatureError, VersionError, CorruptError or
 * LimitError where no more bytes could mend it.
 */
export function readHeader(data: Uint8Array, limits: Limits = DEFAULT_LIMITS): Header {
  const cursor = new Cursor(data);
  readSignature(cursor);
  const version = cursor.fixed(1, "version", 1, VERSION, VersionError);
  const format = readPixelFormat(cursor);
  const modelHash = hex(cursor.take(8, "model_hash"));
  const width = cursor.varint("width", 1, 2 ** 24 - 1);
  const height = cursor.varint("height", 1, 2 ** 24 - 1);
  const quality = cursor.fixed(2, "quality", 0, 25600);
  const tileLog2 = cursor.fixed(1, "tile_log2", 6, 10);
  const side = 2 ** tileLog2;
  const tiles = Math.ceil(width / side) * Math.ceil(height / side);
  checkLimit("picture", width * height, "pixels", limits.maxPixels);
  checkLimit("picture", tiles, "tiles", limits.maxTiles);

  const entries = readBoxTable(cursor);
  let metadata = 0;
  for (const { length } of entries.values()) metadata += length;
  checkLimit("box table", metadata, "bytes of metadata", limits.maxMetadataBytes);
  const streamIds = readStreamIds(cursor);
  const { lengths, checksums } = readTileTable(cursor, tiles, streamIds.length);

  const covered = cursor.offset;
  if (cursor.fixed(4, "header_crc", 0, 2 ** 32 - 1) !== crc32(data.subarray(0, covered))) {
    throw new CorruptError(`header_crc at byte ${covered} is not the CRC of the header's ${covered} bytes`);
  }
  let offset = cursor.offset;
  const boxes = new Map<string, BoxSpan>();
  for (const [name, { length, crc }] of entries) {
    boxes.set(name, { offset, length, crc });
    offset += length;
  }
  const offsets = new Float64Array(lengths.length + 1);
  offsets[0] = offset;
  for (let i = 0; i < lengths.length; i++) offsets[i + 1] = offset += lengths[i]!;
  return {
    version,
    format,
    modelHash,
    width,
    height,
    quality,
    tileLog2,
    headerBytes: cursor.offset,
    boxes,
    streamIds,
    offsets,
    checksums,
  };
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function formatName(format: PixelFormat): string {
  const colour = format.channels === 1 ? "grey" : "RGB";
  return `${format.depth}-bit ${colour}${format.alpha === "none" ? "" : " with alpha"}`;
}

function readSignature(cursor: Cursor): void {
  const found = cursor.data.subarray(0, SIGNATURE.length);
  if (found.every((byte, i) => byte === SIGNATURE[i])) {
    cursor.take(SIGNATURE.length, "signature");
    return;
  }
  const text = textOf(found).includes("GLS");
  const reason = text ? "the file was changed by a transfer in text mode" : "not a Glissando file";
  throw new SignatureError(`signature at byte 0 is ${hex(found)}, not ${hex(SIGNATURE)}: ${reason}`);
}

function readPixelFormat(cursor: Cursor): PixelFormat {
  const start = cursor.offset;
  const byte = cursor.fixed(1, "pixel_format", 0, 255);
  const [depth, colour, alpha] = [(byte & 15) + 1, (byte >> 4) & 3, byte >> 6];
  for (const [name, value, high] of [["colour", colour, 1], ["alpha", alpha, 2]] as const) {
    if (value > high) {
      throw new VersionError(`${name} in pixel_format at byte ${start} is ${value}; this reader knows 0..${high}`);
    }
  }
  return { channels: colour === 0 ? 1 : 3, depth, alpha: ALPHAS[alpha]! };
}

function readBoxTable(cursor: Cursor): Map<string, { length: number; crc: number }> {
  const count = cursor.varint("box_count", 0, 255);
  cursor.require(count * 9, "box table");
  const entries = new Map<string, { length: number; crc: number }>();
  for (let i = 0; i < count; i++) {
    const place = `at byte ${cursor.offset}`;
    const name = textOf(cursor.take(4, "box_type"));
    const length = cursor.varint("box_length", 0, 2 ** 32 - 1);
    const crc = cursor.fixed(4, "box_crc", 0, 2 ** 32 - 1);
    if (!/^[A-Za-z][ -~]{3}$/.test(name)) {
      throw new CorruptError(`box_type ${JSON.stringify(name)} ${place} must be a letter and three ASCII characters`);
    }
    if (/^[A-Z]/.test(name) && name !== QUALITY_FIELD_BOX) {
      throw new VersionError(`box_type ${name} ${place} is critical, and this reader does not know it`);
    }
    if (entries.has(name)) throw new CorruptError(`box_type ${name} ${place} occurs twice`);
    entries.set(name, { length, crc });
  }
  return entries;
}

function readStreamIds(cursor: Cursor): number[] {
  const start = cursor.offset;
  const count = cursor.varint("stream_count", 1, 255);
  const ids: number[] = [];
  for (let i = 0; i < count; i++) ids.push(cursor.fixed(1, "stream_id", 1, 255));
  if (ids.some((id, i) => i > 0 && id <= ids[i - 1]!)) {
    throw new CorruptError(`stream_id after byte ${start}: ${ids.join(", ")} are not strictly ascending`);
  }
  return ids;
}

/** The lengths of all streams, tile after tile, and the tiles' checksums. */
function readTileTable(cursor: Cursor, tiles: number, streams: number): { lengths: number[]; checksums: Uint32Array } {
  // A file of a few bytes cannot declare a million tiles.
  cursor.require(tiles * (streams + 4) + 4, `table of ${tiles} tiles`);
  const lengths: number[] = [];
  const checksums = new Uint32Array(tiles);
  for (let tile = 0; tile < tiles; tile++) {
    for (let i = 0; i < streams; i++) lengths.push(cursor.varint("stream_length", 0, 2 ** 32 - 1));
    checksums[tile] = cursor.fixed(4, "tile_checksum", 0, 2 ** 32 - 1);
  }
  return { lengths, checksums };
}

function checkLimit(name: string, value: number, unit: string, limit: number): void {
  if (value > limit) throw new LimitError(`${name} declares ${value} ${unit}; the caller's limit is ${limit}`);
}

