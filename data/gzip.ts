// gzip by the platform's own streams, which check the sums. The stream is stopped as soon as it gives more
// than the volume's header declares, so a small file cannot unpack into all of memory.

import { Gunzip } from "fflate";
import { DataError } from "./errors.ts";

/** Bytes that may follow the voxels: extensions' padding, a writer's leftovers. */
const SLACK = 1 << 20;
/** As much as the longest NIfTI header takes. */
const HEAD = 544;
/** Packed bytes that are looked through at a time: they unpack to 64 MiB at most. */
const CHUNK = 1 << 16;

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
  const unpack = async (members: Uint8Array[]) => {
    const unpacked = new Collector(name, declared);
    for (const member of members) await inflate(member, unpacked);
    return unpacked.finish();
  };
  try {
    return await unpack([bytes]);
  } catch (error) {
    if (error instanceof DataError) throw error;
    const members = gzipMembers(bytes); // some browsers read one member only
    if (members.length > 1) return unpack(members).catch((again: unknown) => fail(name, again));
    return fail(name, error);
  }
}

/** Packs `bytes`. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = streamOf(bytes).pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The members of a gzip file made by joining several; the whole file where they cannot be told apart. */
export function gzipMembers(bytes: Uint8Array): Uint8Array[] {
  const starts = [0];
  const reader = new Gunzip(() => {});
  reader.onmember = (offset: number) => starts.push(offset);
  try {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      reader.push(bytes.subarray(at, at + CHUNK), at + CHUNK >= bytes.length);
    }
  } catch {
    return [bytes];
  }
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1] ?? bytes.length));
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
