// Reads NIfTI files: NIfTI-1 and -2, either byte order, single files and .hdr/.img pairs, compressed or not
// (by content, not by name). x runs fastest in the file, so its voxels are a row-major array [C, D=z, H=y,
// W=x].

import { DataError } from "../errors.ts";
import { spacingOf, type Vec3 } from "./geometry.ts";
import { gunzip, isGzip } from "./gzip.ts";
import type { Unit } from "./units.ts";
import { formatVoxels, type NiftiHeader, readHeader } from "./header.ts";

export type { Vec3 } from "./geometry.ts";
export { writeLabelLike, writeNifti, writeProbabilitiesLike } from "./write.ts";

export interface Volume {
  /** D, H, W. */
  size: Vec3;
  /** The number of volumes in the file: the fourth dimension times the fifth. */
  channels: number;
  /** [channels, D, H, W], with the header's slope and intercept applied. */
  data: Float32Array;
  /** 4x4, maps the voxel (x, y, z) to mm: the sform, else the qform, else voxel sizes around the centre. */
  affine: number[][];
  /** The unit of lengths in the header, which `affine` and `spacing` are converted from. */
  unit: Unit;
  /** The largest distance between a corner under the sform and under the qform, in mm; 0 without both. */
  disagreement: number;
  /** D, H, W in mm. */
  spacing: Vec3;
  /** The distance of neighbouring values: the slope's size for integers; 0 for floats. */
  step: number;
  /** The first 352 (NIfTI-2: 544) bytes of the file, in its own unit, for `writeLabelLike`. */
  header: Uint8Array;
}

/**
 * Reads a volume from the bytes of a .nii, .nii.gz or .hdr file; for a .hdr file `pair` has the bytes of its
 * .img. Throws DataError with the file's name if it is damaged or of an unsupported kind.
 */
export async function readNifti(bytes: Uint8Array, name: string, pair?: Uint8Array): Promise<Volume> {
  let header: NiftiHeader | undefined;
  const declared = (head: Uint8Array) => {
    header = readHeader(head, name);
    return header.offset + (header.pair ? 0 : header.voxelBytes);
  };
  const file = isGzip(bytes) ? await gunzip(bytes, name, declared) : bytes;
  header ??= readHeader(file, name);

  const raw = header.pair ? await readImage(pair, header, name) : file;
  const held = Math.max(0, raw.length - header.offset);
  if (held < header.voxelBytes) {
    const expected = `expected ${header.voxelBytes} bytes of voxels (${formatVoxels(header)})`;
    throw new DataError(`${name}: ${expected}, got ${held}: the file is truncated: copy it again`);
  }
  const { size, channels, affine, unit, disagreement } = header;
  return {
    size,
    channels,
    data: decode(raw, header),
    affine,
    unit,
    disagreement,
    spacing: spacingOf(affine),
    step: header.datatype.name.startsWith("float") ? 0 : Math.abs(header.slope),
    header: header.bytes,
  };
}

async function readImage(
  pair: Uint8Array | undefined,
  header: NiftiHeader,
  name: string,
): Promise<Uint8Array> {
  if (!pair) throw new DataError(`${name}: expected its .img file beside it, got the header alone`);
  return isGzip(pair) ? gunzip(pair, `${name} (.img)`, () => header.offset + header.voxelBytes) : pair;
}

/** Returns the voxels as float32, scaled by slope and intercept. */
function decode(raw: Uint8Array, header: NiftiHeader): Float32Array {
  const { offset, voxelBytes, slope, intercept, datatype, littleEndian } = header;
  const voxels = new Uint8Array(voxelBytes); // a copy: aligned, and its bytes can be reversed in place
  voxels.set(raw.subarray(offset, offset + voxelBytes));
  if (!littleEndian) reverseWords(voxels, datatype.bytes); // every machine with WebGPU is little-endian

  const numbers = numbersOf(voxels.buffer, datatype.name);
  const data = numbers instanceof Float32Array ? numbers : new Float32Array(numbers);
  if (slope === 1 && intercept === 0) return data;
  for (let i = 0; i < data.length; i++) data[i] = numbers[i]! * slope + intercept;
  return data;
}

function reverseWords(bytes: Uint8Array, length: number): void {
  if (length === 1) return;
  for (let start = 0; start < bytes.length; start += length) bytes.subarray(start, start + length).reverse();
}

function numbersOf(buffer: ArrayBuffer, datatype: string): Numbers {
  switch (datatype) {
    case "uint8":
      return new Uint8Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    case "uint16":
      return new Uint16Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "uint32":
      return new Uint32Array(buffer);
    case "int32":
      return new Int32Array(buffer);
    case "float32":
      return new Float32Array(buffer);
    case "float64":
      return new Float64Array(buffer);
    case "uint64":
      return Float64Array.from(new BigUint64Array(buffer), Number);
    default:
      return Float64Array.from(new BigInt64Array(buffer), Number);
  }
}
type Numbers =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;
