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

/**
 * Decompresses `bytes`. `declared` gets the first 544 bytes (or all, if fewer) and returns the expected
 * number of bytes. Throws DataError with the file's name if the data are damaged or much longer than that.
 */
export async function gunzip(
  bytes: Uint8Array,
  name: string,
  declared: (head: Uint8Array) => number,
): Promise<Uint8Array> {
  const unpacked = new Collector(name, declared);
  try {
    await inflate(bytes, unpacked);
    return unpacked.finish();
  } catch (error) {
    if (error instanceof DataError) throw error;
    return unpackMembers(bytes, name, declared, error); // some browsers read one member only
  }
}

/** Decompresses one member after the other; `error` is the error of decompressing all at once. */
async function unpackMembers(
  bytes: Uint8Array,
  name: string,
  declared: (head: Uint8Array) => number,
  error: unknown,
): Promise<Uint8Array> {
  const unpacked = new Collector(name, declared);
  for (const member of gzipMembers(bytes)) {
    if (member.length === bytes.length) fail(name, error);
    await inflate(member, unpacked).catch((again: unknown) => fail(name, again));
  }
  return unpacked.finish();
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

/** Collects chunks, and throws when they exceed the size that the header declares. */
class Collector {
  #chunks: Uint8Array[] = [];
  #total = 0;
  #limit: number | undefined;
  readonly #name: string;
  readonly #declared: (head: Uint8Array) => number;

  constructor(name: string, declared: (head: Uint8Array) => number) {
    this.#name = name;
    this.#declared = declared;
  }

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#total += chunk.length;
    if (this.#total >= HEAD) this.#limit ??= this.#ask();
    if (this.#limit !== undefined && this.#total > this.#limit + SLACK) {
      const expected = `expected the ${this.#limit} bytes that its header declares`;
      throw new DataError(
        `${this.#name}: ${expected}, got more: the file is damaged, or made to fill the memory`,
      );
    }
  }

  finish(): Uint8Array {
    this.#limit ??= this.#ask();
    return this.#joined();
  }

  #ask(): number {
    this.#chunks = [this.#joined()];
    return this.#declared(this.#chunks[0]!);
  }

  #joined(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0]!;
    const whole = new Uint8Array(this.#total);
    let offset = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, offset);
      offset += chunk.length;
    }
    return whole;
  }
}

async function inflate(bytes: Uint8Array, unpacked: Collector): Promise<void> {
  const reader = streamOf(bytes).pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) unpacked.add(next.value);
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
