// gzip by the platform's own streams, which check the sums. The stream is stopped as soon as it gives more
// than the volume's header declares, so a small file cannot unpack into all of memory.

import { Gunzip } from "fflate";
import { DataError } from "../errors.ts";

/** Bytes that may follow the voxels: extensions' padding, a writer's leftovers. */
const SLACK = 1 << 20;
/** As much as the longest NIfTI header takes. */
const HEAD = 544;
/** Packed bytes that are looked through at a time: they unpack to 4 MiB at most. */
const CHUNK = 1 << 12;

/** Whether the bytes are gzip's, whatever the file is called. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Unpacks `bytes`. `declared` is asked once, with the first 544 bytes (or all, if fewer), how many bytes
 * there should be; more than that and some slack is an error. Throws DataError naming the file.
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

/** Unpacks one member after the other; `error` is what came of all of them at once. */
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

/** Packs `bytes`. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = streamOf(bytes).pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The members of a gzip file made by joining several; what cannot be told apart comes as one. Each is given as soon
 * as it has been gone through, so that whoever finds one damaged need not wait for those after it.
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

/** Gathers chunks, and stops them when there are more than the header allows. */
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
      throw new DataError(`${this.#name}: ${expected}, got more: it is damaged, or made to fill the memory`);
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
    await reader.cancel().catch(() => {}); // an errored stream has nothing to cancel
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
    `${name}: expected a whole gzip file, got a damaged or cut one (${reason}): copy it again`,
  );
}
