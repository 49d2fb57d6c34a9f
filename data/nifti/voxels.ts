// Decodes voxels to float32 while their bytes arrive, so that reading a volume takes the memory of its result
// and of one block, whatever the type in the file.

import type { NiftiHeader } from "./header.ts";

/** Bytes that are converted at a time; a multiple of every voxel's length. */
const BLOCK = 1 << 16;

type Decoded = Pick<
  NiftiHeader,
  "offset" | "voxelBytes" | "slope" | "intercept" | "datatype" | "littleEndian"
>;

/** Takes the bytes of a file in order, and keeps its voxels, scaled by slope and intercept. */
export class VoxelDecoder {
  /** The voxels; fewer than the header declares where the file cannot have them. */
  readonly data: Float32Array;
  /** Bytes of voxels that have arrived. */
  held = 0;
  #before: number;
  #waiting = 0; // bytes of the block that are not converted yet
  #done = 0; // voxels
  readonly #block = new Uint8Array(BLOCK);
  readonly #numbers: (count: number) => ArrayLike<number>;
  readonly #header: Decoded;

  /** `most` bounds the bytes that can arrive, so that a false header allocates nothing. */
  constructor(header: Decoded, most: number) {
    const { offset, voxelBytes, datatype } = header;
    this.#header = header;
    this.#before = offset;
    this.data = new Float32Array(Math.floor(Math.min(voxelBytes, most) / datatype.bytes));
    this.#numbers = numbersIn(this.#block.buffer, datatype.name);
  }

  /** Takes the next bytes of the file; those after the voxels are ignored. */
  push(bytes: Uint8Array): void {
    const skipped = Math.min(this.#before, bytes.length);
    this.#before -= skipped;
    const voxels = bytes.subarray(skipped, skipped + this.#header.voxelBytes - this.held);
    this.held += voxels.length;
    for (let at = 0; at < voxels.length;) {
      const taken = voxels.subarray(at, at + BLOCK - this.#waiting);
      this.#block.set(taken, this.#waiting);
      this.#waiting += taken.length;
      at += taken.length;
      this.#convert();
    }
  }

  /** Converts the whole voxels of the block, and moves the rest to its start. */
  #convert(): void {
    const { slope, intercept, datatype, littleEndian } = this.#header;
    const bytes = this.#waiting - (this.#waiting % datatype.bytes);
    const count = Math.min(bytes / datatype.bytes, this.data.length - this.#done);
    // every machine with WebGPU is little-endian
    if (!littleEndian) reverseWords(this.#block.subarray(0, bytes), datatype.bytes);
    const numbers = this.#numbers(count);
    if (slope === 1 && intercept === 0) this.data.set(numbers, this.#done);
    else for (let i = 0; i < count; i++) this.data[this.#done + i] = numbers[i]! * slope + intercept;
    this.#done += count;
    this.#block.copyWithin(0, bytes, this.#waiting);
    this.#waiting -= bytes;
  }
}

/** Reverses the bytes of every word of this length. */
function reverseWords(bytes: Uint8Array, length: number): void {
  for (let start = 0; start < bytes.length; start += length)
    for (let [i, j] = [start, start + length - 1]; i < j; i++, j--)
      [bytes[i], bytes[j]] = [bytes[j]!, bytes[i]!];
}

const TYPES = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

/** Reads numbers of a type from a buffer. */
function numbersIn(buffer: ArrayBuffer, datatype: string): (count: number) => ArrayLike<number> {
  const Type = TYPES[datatype as keyof typeof TYPES] as (typeof TYPES)["float64"] | undefined;
  if (Type) {
    const all = new Type(buffer);
    return (count) => all.subarray(0, count);
  }
  const low = new Uint32Array(buffer);
  const high = datatype === "uint64" ? low : new Int32Array(buffer);
  const numbers = new Float64Array(BLOCK / 8);
  return (count) => {
    // the product is exact, so that the sum is rounded once, as Number() rounds a BigInt
    for (let i = 0; i < count; i++) numbers[i] = high[2 * i + 1]! * 2 ** 32 + low[2 * i]!;
    return numbers.subarray(0, count);
  };
}
