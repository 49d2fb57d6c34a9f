// Reads and writes safetensors files, the format of checkpoints: eight bytes with the length of a JSON
// header, the header, and the tensors' bytes, little-endian. The header gives each tensor's type, shape and
// range of bytes, so that an untrusted file is checked completely before anything is allocated. Format:
// https://github.com/huggingface/safetensors

import { jsonFault } from "../../engine/values.ts";
import { CheckpointError } from "../errors.ts";
import { duplicateKey } from "./jsonKeys.ts";

/** A tensor outside the GPU, row-major. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array | BigInt64Array;
}

/** Named tensors in PyTorch's layouts, and metadata. */
export interface Checkpoint {
  readonly tensors: Record<string, StoredTensor>;
  readonly metadata: Record<string, string>;
}

const maxHeaderBytes = 100_000_000; // as in the reference implementation
const prefixBytes = 8;

/** The bytes per element of each type, and its reader: half and double precision become single. */
const types: Readonly<Record<string, { bytes: number; read: (bytes: ArrayBuffer) => StoredTensor["data"] }>> =
  {
    F32: { bytes: 4, read: (bytes) => new Float32Array(bytes) },
    F64: { bytes: 8, read: (bytes) => Float32Array.from(new Float64Array(bytes)) },
    F16: { bytes: 2, read: (bytes) => Float32Array.from(new Uint16Array(bytes), halfToNumber) },
    BF16: {
      bytes: 2,
      read: (bytes) =>
        new Float32Array(Uint32Array.from(new Uint16Array(bytes), (bits) => bits << 16).buffer),
    },
    I32: { bytes: 4, read: (bytes) => new Int32Array(bytes) },
    I64: { bytes: 8, read: (bytes) => new BigInt64Array(bytes) },
    U8: { bytes: 1, read: (bytes) => new Uint8Array(bytes) },
  };

/** Encodes a file: the same input always gives the same bytes. The header keeps the tensors' order. */
export function encodeSafetensors(
  tensors: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(tensors);
  for (const [name, { shape, data }] of entries) {
    if (name === "__metadata__")
      throw new Error("encodeSafetensors: a tensor must not be called __metadata__");
    const size = shape.reduce((a, b) => a * b, 1);
    if (size === data.length) continue;
    throw new Error(`encodeSafetensors: ${name}: shape [${shape}] needs ${size} values, got ${data.length}`);
  }
  // Larger elements come first, so that every tensor begins at a multiple of its element's size.
  const placed = entries.toSorted(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  const begins = new Map<string, number>();
  let dataBytes = 0;
  for (const [name, { data }] of placed) {
    begins.set(name, dataBytes);
    dataBytes += data.byteLength;
  }
  const members = entries.map(([name, { shape, data }]) => {
    const begin = begins.get(name)!;
    const info = { dtype: typeName(data), shape, data_offsets: [begin, begin + data.byteLength] };
    return `${JSON.stringify(name)}:${JSON.stringify(info)}`;
  });
  const json = `{${[`"__metadata__":${JSON.stringify(metadata)}`, ...members].join(",")}}`;
  const text = new TextEncoder().encode(json);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(prefixBytes + headerBytes + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, prefixBytes, prefixBytes + headerBytes); // padded with spaces
  bytes.set(text, prefixBytes);
  for (const [name, { data }] of placed) {
    const view = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    bytes.set(view, prefixBytes + headerBytes + begins.get(name)!);
  }
  return bytes;
}

function typeName(data: StoredTensor["data"]): string {
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Int32Array) return "I32";
  return data instanceof BigInt64Array ? "I64" : "U8";
}

/**
 * Decodes a safetensors file; `name` is the file's name for messages. Throws a CheckpointError unless every
 * byte of the file is accounted for. The records returned have no prototype.
 */
export function decodeSafetensors(bytes: Uint8Array, name: string): Checkpoint {
  const fail = (problem: string): never => {
    throw new CheckpointError(`${name}: not a usable checkpoint: ${problem}`);
  };
  const header = readHeader(bytes, fail);
  const data = bytes.subarray(prefixBytes + header.bytes);

  const metadata = record<string>();
  const tensors = record<StoredTensor>();
  const ranges: Range[] = [];
  for (const [key, value] of Object.entries(header.members)) {
    if (key !== "__metadata__") {
      ranges.push(checkTensor(key, value, data.length, fail));
      continue;
    }
    for (const [field, text] of Object.entries(
      isObject(value) ? value : fail("__metadata__ is not an object"),
    )) {
      metadata[field] = typeof text === "string" ? text : fail(`metadata '${field}' is not a string`);
    }
  }
  checkCoverage(ranges, data.length, fail);
  for (const { key, type, shape, begin, end } of ranges) {
    // Copies, for views need alignment, and the file's bytes should not stay referenced. (slice() of Node's
    // Buffer, which is a Uint8Array too, does not copy.)
    tensors[key] = { shape, data: types[type]!.read(new Uint8Array(data.subarray(begin, end)).buffer) };
  }
  return { tensors, metadata };
}

type Fail = (problem: string) => never;

function readHeader(bytes: Uint8Array, fail: Fail): { members: Record<string, unknown>; bytes: number } {
  if (bytes.length < prefixBytes) fail(`expected at least ${prefixBytes} bytes, got ${bytes.length}`);
  const declared = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (declared > maxHeaderBytes) fail(`its header has ${declared} bytes, more than ${maxHeaderBytes}`);
  const size = Number(declared);
  if (size > bytes.length - prefixBytes)
    fail(`its header has ${size} bytes, the file ${bytes.length}: is it cut short?`);
  if (bytes[prefixBytes] !== 0x7b) fail("its header does not begin with '{'");
  let members: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(
      bytes.subarray(prefixBytes, prefixBytes + size),
    );
    members = JSON.parse(text);
    const twice = duplicateKey(text, 3);
    if (twice !== null) fail(`its header names '${twice}' twice`);
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    fail(`its header is not valid JSON: ${jsonFault(error)}`);
  }
  return { members: isObject(members) ? members : fail("its header is not an object"), bytes: size };
}

interface Range {
  readonly key: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function checkTensor(key: string, value: unknown, available: number, fail: Fail): Range {
  if (!isObject(value)) return fail(`tensor '${key}' is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(types, dtype)) {
    return fail(
      `tensor '${key}' has the type ${JSON.stringify(dtype)}; known are ${Object.keys(types).join(", ")}`,
    );
  }
  if (!isCounts(shape)) return fail(`tensor '${key}' has the shape ${JSON.stringify(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) return fail(`tensor '${key}' has no pair of data_offsets`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > available) {
    return fail(`tensor '${key}' lies at bytes ${begin} to ${end} of ${available}: is the file cut short?`);
  }
  const size = shape.reduce((a, b) => a * b, types[dtype]!.bytes);
  if (size !== end - begin) {
    return fail(`tensor '${key}', ${dtype} [${shape}], needs ${size} bytes, has ${end - begin}`);
  }
  return { key, type: dtype, shape, begin, end };
}

/** Fails unless the ranges follow one another to the end of the file, without a gap or an overlap. */
function checkCoverage(ranges: readonly Range[], available: number, fail: Fail): void {
  let reached = 0;
  for (const { key, begin, end } of ranges.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== reached)
      fail(`tensor '${key}' begins at byte ${begin}, the one before it ends at ${reached}`);
    reached = end;
  }
  if (reached !== available) fail(`its tensors end at byte ${reached} of ${available}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 32 && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** A record in which names such as `__proto__` are ordinary keys. */
function record<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

/** Converts IEEE binary16: one bit of sign, five of exponent, ten of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
