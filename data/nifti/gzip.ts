// gzip by the platform's own streams, which verify the checksums. Decompression stops as soon as it yields
// more bytes than the volume's header declares, so that a small file cannot fill the memory.

import { Gunzip } from "fflate";
import { DataError } from "../errors.ts";

/** Bytes that may follow the voxels, such as padding of extensions. */
const SLACK = 1 << 20;
/** The length of the longest NIfTI header, in bytes. */
const HEAD = 544;
/** Compressed bytes that are searched for members at a time: they decompress to 4 MiB at most. */
const CHUNK = 1 << 12;

/** True if the bytes are gzip-compressed, whatever the file's name. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The most bytes that a byte of gzip can unpack to: 258 for two bits. */
export const MOST_UNPACKED = 1032;

/** Takes the content of a file. */
export interface Receiver {
  /** The bytes of the content, as its head declares. */
  declared: number;
  /** Takes the next bytes of the content, from its first byte on. */
  push(bytes: Uint8Array): void;
}

/**
 * Decompresses `bytes`. `begin` gets the first 544 bytes (or all, if fewer) and returns what receives the
 * content, all of it, piece by piece; it is called again where decompression starts again. Throws DataError
 * with the file's name if the data are damaged or much longer than declared.
 */
export async function gunzip(
  bytes: Uint8Array,
  name: string,
  begin: (head: Uint8Array) => Receiver,
): Promise<void> {
  const content = new Content(name, begin);
  try {
    await inflate(bytes, content);
    content.finish();
  } catch (error) {
    if (error instanceof DataError) throw error;
    await unpackMembers(bytes, name, begin, error); // some browsers read one member only
  }
}

/** Decompresses one member after the other; `error` is the error of decompressing all at once. */
async function unpackMembers(
  bytes: Uint8Array,
  name: string,
  begin: (head: Uint8Array) => Receiver,
  error: unknown,
): Promise<void> {
  const content = new Content(name, begin);
  for (const member of gzipMembers(bytes)) {
    if (member.length === bytes.length) fail(name, error);
    await inflate(member, content).catch((again: unknown) => fail(name, again));
  }
  content.finish();
}

/** Compresses `bytes`. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = streamOf(bytes).pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Yields the members of a gzip file made by joining several; a damaged remainder comes as one member. Each is
 * yielded as soon as its end is found, so that a caller can stop at a damaged one without a search through
 * the rest.
 */
export function* gzipMembers(bytes: Uint8Array): Generator<Uint8Array> {
  let start = 0;
  const starts: number[] = [];
  const reader = new Gunzip(() => {});
  reader.onmember = (offset: number) => starts.push(offset);
  for (let at = 0; at < bytes.length; at += CHUNK) {
    try {
      reader.push(bytes.subarray(at, at + CHUNK), at + CHUNK >= bytes.length);
    } catch {
      break;
    }
    for (let next = starts.shift(); next !== undefined; next = starts.shift()) {
      yield bytes.subarray(start, next);
      start = next;
    }
  }
  yield bytes.subarray(start);
}

/** Passes chunks on, and throws when they exceed the size that the header declares. */
class Content {
  #head = new Uint8Array(0);
  #total = 0;
  #receiver: Receiver | null = null;
  readonly #name: string;
  readonly #begin: (head: Uint8Array) => Receiver;

  constructor(name: string, begin: (head: Uint8Array) => Receiver) {
    this.#name = name;
    this.#begin = begin;
  }

  add(chunk: Uint8Array): void {
    this.#total += chunk.length;
    if (this.#receiver) this.#receiver.push(chunk);
    else {
      this.#head = joined(this.#head, chunk);
      if (this.#total >= HEAD) this.finish();
    }
    const { declared } = this.#receiver ?? { declared: Infinity };
    if (this.#total > declared + SLACK) {
      const expected = `expected the ${declared} bytes that its header declares`;
      throw new DataError(
        `${this.#name}: ${expected}, got more: the file is damaged, or made to fill the memory`,
      );
    }
  }

  /** Gives the receiver what there is so far. */
  finish(): void {
    if (this.#receiver) return;
    this.#receiver = this.#begin(this.#head);
    this.#receiver.push(this.#head);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

async function inflate(bytes: Uint8Array, content: Content): Promise<void> {
  const reader = streamOf(bytes).pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) content.add(next.value);
  } catch (error) {
    await reader.cancel().catch(() => {}); // rejects if the stream itself has failed
    throw error;
  }
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes as Uint8Array<ArrayBuffer>);
      controller.close();
    },
  });
}

function fail(name: string, error: unknown): never {
  if (error instanceof DataError) throw error;
  const reason = error instanceof Error ? error.message : String(error);
  throw new DataError(
    `${name}: expected a complete gzip file, got a damaged or truncated one (${reason}): copy it again`,
  );
}
