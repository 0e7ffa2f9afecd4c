/** Where the bytes of a file come from: memory, or a stream that is still arriving. */

import { InputError, LimitError } from "../errors.js";

/** Bytes of a file, of which some may not have arrived yet. */
export interface ByteSource {
  /** What has arrived so far. The array may be replaced by a longer one. */
  readonly bytes: Uint8Array;
  /** Whether all has arrived. */
  readonly complete: boolean;
  /** Wait until `end` bytes have arrived, or all there are. */
  until(end: number): Promise<void>;
  /** Let go of a stream that is not needed any more. */
  cancel(): Promise<void>;
}

/** A file that is in memory. */
export class Memory implements ByteSource {
  readonly complete = true;

  constructor(readonly bytes: Uint8Array) {}

  async until(): Promise<void> {}

  async cancel(): Promise<void> {}
}

/** A file that arrives piece by piece. Memory grows with what arrives, never with what was announced. */
export class Arriving implements ByteSource {
  private buffer = new Uint8Array(1 << 16);
  private length = 0;
  private done = false;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(
    stream: ReadableStream<Uint8Array>,
    private readonly maxBytes: number,
  ) {
    this.reader = stream.getReader();
  }

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  get complete(): boolean {
    return this.done;
  }

  async until(end: number): Promise<void> {
    while (this.length < end && !this.done) {
      const { value, done } = await this.reader.read();
      if (done) {
        this.done = true;
        return;
      }
      this.append(value);
    }
  }

  async cancel(): Promise<void> {
    if (!this.done) await this.reader.cancel();
  }

  private append(part: Uint8Array): void {
    const end = this.length + part.length;
    if (end > this.maxBytes) throw new LimitError(`more than ${this.maxBytes} bytes arrived`);
    if (end > this.buffer.length) {
      const longer = new Uint8Array(Math.max(end, 2 * this.buffer.length));
      longer.set(this.bytes);
      this.buffer = longer;
    }
    this.buffer.set(part, this.length);
    this.length = end;
  }
}

/** What a file may be given as. */
export type Input = Uint8Array | ArrayBuffer | ReadableStream<Uint8Array> | Blob | Response;

/** A source of any of these. A stream of more than `maxBytes` bytes raises an error once they have arrived. */
export function sourceOf(input: Input, maxBytes: number): ByteSource {
  if (input instanceof Uint8Array) return new Memory(input);
  if (input instanceof ArrayBuffer) return new Memory(new Uint8Array(input));
  if (typeof Blob !== "undefined" && input instanceof Blob) return new Arriving(input.stream(), maxBytes);
  if (typeof Response !== "undefined" && input instanceof Response) {
    if (input.body === null) throw new InputError("the response has no body");
    return new Arriving(input.body, maxBytes);
  }
  if (typeof ReadableStream !== "undefined" && input instanceof ReadableStream) return new Arriving(input, maxBytes);
  throw new InputError("a file is given as its bytes, a Blob, a Response or a stream of bytes");
}
