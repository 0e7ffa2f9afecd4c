/** A file that is read part by part, as its bytes arrive: the header at once, boxes and tiles when they are asked for. */

import { CorruptError, TruncatedError } from "../errors.js";
import { crc32 } from "./crc32.js";
import { fileBytes, readHeader, type Header, type Limits } from "./header.js";
import type { ByteSource } from "./source.js";

/** One tile: its streams by number, and the checksum that its symbols must have. */
export interface Tile {
  readonly streams: ReadonlyMap<number, Uint8Array>;
  readonly checksum: number;
}

export class Reader {
  private constructor(
    private readonly source: ByteSource,
    readonly header: Header,
  ) {}

  /** Read the header, waiting for more bytes as long as it is not whole. Raises FormatError as `readHeader`. */
  static async open(source: ByteSource, limits: Limits): Promise<Reader> {
    for (let wanted = 64; ; wanted = 2 * source.bytes.length) {
      await source.until(wanted);
      try {
        return new Reader(source, readHeader(source.bytes, limits));
      } catch (error) {
        if (!(error instanceof TruncatedError) || source.complete) throw error;
      }
    }
  }

  /** Whether all bytes have arrived. */
  get complete(): boolean {
    return this.source.complete;
  }

  /** A box's payload; undefined where the file has none of this type. Raises CorruptError, TruncatedError. */
  async box(name: string): Promise<Uint8Array | undefined> {
    const span = this.header.boxes.get(name);
    if (span === undefined) return undefined;
    const payload = await this.part(span.offset, span.offset + span.length, `box ${name}`);
    if (crc32(payload) !== span.crc) {
      throw new CorruptError(`box ${name} at byte ${span.offset} does not have the CRC of its table entry`);
    }
    return payload;
  }

  /** One tile by its number in raster order. Raises TruncatedError where the file ends before the tile does. */
  async tile(number: number): Promise<Tile> {
    const { streamIds, offsets, checksums } = this.header;
    const first = number * streamIds.length;
    const start = offsets[first]!;
    const data = await this.part(start, offsets[first + streamIds.length]!, `tile ${number}`);
    const streams = new Map<number, Uint8Array>();
    streamIds.forEach((id, i) => {
      streams.set(id, data.subarray(offsets[first + i]! - start, offsets[first + i + 1]! - start));
    });
    return { streams, checksum: checksums[number]! };
  }

  /** Wait for the file's end, and raise TruncatedError or CorruptError where it does not end as it declares. */
  async checkEnd(): Promise<void> {
    const declared = fileBytes(this.header);
    await this.source.until(declared + 1);
    this.checkLength();
  }

  /** Raises an error where it is known already that the file is shorter or longer than it declares. */
  checkLength(): void {
    const declared = fileBytes(this.header);
    const found = this.source.bytes.length;
    if (found < declared && this.source.complete) {
      throw new TruncatedError(`the file needs ${declared} bytes; ${found} are present`);
    }
    if (found > declared) {
      throw new CorruptError(`the file should end at byte ${declared}; ${found - declared} bytes follow`);
    }
  }

  /** A copy of some bytes, since the source's own array may be replaced. */
  private async part(start: number, end: number, name: string): Promise<Uint8Array> {
    await this.source.until(end);
    if (this.source.bytes.length < end) {
      throw new TruncatedError(`${name} ends at byte ${end}; ${this.source.bytes.length} bytes are present`);
    }
    return this.source.bytes.slice(start, end);
  }
}
