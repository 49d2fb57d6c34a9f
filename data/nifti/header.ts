// Reads a NIfTI header and checks it before any memory is allocated for the voxels. nifti-reader-js reads the
// fields; the affine is chosen here as in nibabel: the sform, else the qform, else voxel sizes around the
// volume's centre.

import { NIFTI1, NIFTI2 } from "nifti-reader-js";
import { DataError } from "../errors.ts";
import {
  affineOfQform,
  cornerDisplacement,
  determinant,
  formatAffine,
  formatSize,
  type Vec3,
} from "./geometry.ts";
import { inMillimetres, type Unit, unitOf } from "./units.ts";

export interface NiftiHeader {
  version: 1 | 2;
  littleEndian: boolean;
  /** True for the .hdr of a .hdr/.img pair. */
  pair: boolean;
  /** D, H, W. */
  size: Vec3;
  channels: number;
  datatype: Datatype;
  /** The first byte of the voxels. */
  offset: number;
  /** The number of bytes of the voxels. */
  voxelBytes: number;
  slope: number;
  intercept: number;
  /** To mm, whatever the header's unit. */
  affine: number[][];
  /** The unit of the header's lengths. */
  unit: Unit;
  /** The largest distance between a corner under the sform and under the qform, in mm; 0 without both. */
  disagreement: number;
  /** The first 352 (NIfTI-2: 544) bytes as in the file. */
  bytes: Uint8Array;
}

export interface Datatype {
  name: string;
  bytes: number;
}

/** NIfTI's numeric voxel types by code. Colours and complex numbers are not intensities, and are refused. */
export const DATATYPES: ReadonlyMap<number, Datatype> = new Map([
  [2, { name: "uint8", bytes: 1 }],
  [4, { name: "int16", bytes: 2 }],
  [8, { name: "int32", bytes: 4 }],
  [16, { name: "float32", bytes: 4 }],
  [64, { name: "float64", bytes: 8 }],
  [256, { name: "int8", bytes: 1 }],
  [512, { name: "uint16", bytes: 2 }],
  [768, { name: "uint32", bytes: 4 }],
  [1024, { name: "int64", bytes: 8 }],
  [1280, { name: "uint64", bytes: 8 }],
]);
const REFUSED = new Map([
  [1, "bits"],
  [32, "complex64"],
  [128, "RGB colours"],
  [1536, "float128"],
  [1792, "complex128"],
  [2048, "complex256"],
  [2304, "RGBA colours"],
]);

/**
 * The most bytes of voxels, in the file and as float32, or before them. No brain needs more, but a damaged
 * header may claim more.
 */
const LARGEST = 2 ** 31;

/** Returns the length of a header, with the four bytes that announce extensions. */
export function headerLength(version: 1 | 2): number {
  return version === 1 ? 352 : 544;
}

/** Reads and checks the header at the start of `bytes`. Throws DataError with the file's name. */
export function readHeader(bytes: Uint8Array, name: string): NiftiHeader {
  const { version, pair } = identify(bytes, name);
  const length = headerLength(version);
  const fields = version === 1 ? new NIFTI1() : new NIFTI2();
  // A copy (Buffer.slice() would be a view) without extensions, which may be damaged.
  fields.readHeader(new Uint8Array(bytes.subarray(0, length - 4)).buffer);
  if (fields instanceof NIFTI2) readIntegers(fields, bytes);
  const { size, channels } = shapeOf(fields, name);

  const datatype = DATATYPES.get(fields.datatypeCode);
  if (!datatype) {
    const what = REFUSED.get(fields.datatypeCode) ?? "an unknown type";
    const known = [...DATATYPES.values()].map((type) => type.name).join(", ");
    throw new DataError(
      `${name}: expected voxels of ${known}, got datatype ${fields.datatypeCode} (${what})`,
    );
  }
  const offset = fields.vox_offset === 0 && !pair ? length : fields.vox_offset;
  const least = pair ? 0 : length;
  if (!(Number.isInteger(offset) && offset >= least && offset <= LARGEST)) {
    throw new DataError(
      `${name}: expected voxels at byte ${least} or later, within 2 GiB, got vox_offset ${offset}`,
    );
  }
  const voxels = channels * size[0] * size[1] * size[2];
  const voxelBytes = voxels * datatype.bytes;
  if (!(Math.max(voxelBytes, 4 * voxels) <= LARGEST)) {
    const shape = formatVoxels({ size, channels, datatype });
    const read = voxelBytes <= LARGEST ? ", which take 4 bytes each once they are read" : "";
    throw new DataError(
      `${name}: expected at most 2 GiB of voxels, got ${shape}${read}: its header is damaged, or it must be cropped`,
    );
  }
  const scaled = Number.isFinite(fields.scl_slope) && fields.scl_slope !== 0;
  if (scaled && !Number.isFinite(fields.scl_inter)) {
    throw new DataError(`${name}: expected a finite scl_inter, got ${fields.scl_inter}`);
  }
  const unit = unitOf(fields.xyzt_units);
  const affine = inMillimetres(affineOf(fields, bytes, size, name), unit);
  const qform = inMillimetres(qformAffine(fields), unit);
  const both = fields.sform_code > 0 && fields.qform_code > 0;
  const header = new Uint8Array(length);
  header.set(bytes.subarray(0, length));
  return {
    version,
    littleEndian: fields.littleEndian,
    pair,
    size,
    channels,
    datatype,
    offset,
    voxelBytes,
    slope: scaled ? fields.scl_slope : 1,
    intercept: scaled ? fields.scl_inter : 0,
    affine,
    unit,
    disagreement: both ? cornerDisplacement(affine, qform, size) : 0,
    bytes: header,
  };
}

/** Formats the voxels' shape and type, for messages. */
export function formatVoxels({
  size,
  channels,
  datatype,
}: Pick<NiftiHeader, "size" | "channels" | "datatype">): string {
  return `${formatSize(size)}${channels > 1 ? `x${channels}` : ""} ${datatype.name}`;
}

/**
 * Reads the 64-bit integers again: the library misreads negative ones, and large ones in big-endian files.
 */
function readIntegers(fields: NIFTI2, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = (start: number) => Number(view.getBigInt64(start, fields.littleEndian));
  fields.dims = Array.from({ length: 8 }, (_, i) => at(16 + 8 * i));
  fields.vox_offset = at(168);
}

function identify(bytes: Uint8Array, name: string): { version: 1 | 2; pair: boolean } {
  if (bytes.length === 0) throw new DataError(`${name}: expected a NIfTI file, got an empty one`);
  if (bytes.length < 348) {
    throw new DataError(
      `${name}: expected a NIfTI file, got only ${bytes.length} bytes: a header has at least 348`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const sizes = [view.getInt32(0, true), view.getInt32(0, false)];
  const text = (start: number) =>
    [...bytes.subarray(start, start + 4)].map((code) => String.fromCharCode(code)).join("");
  if (sizes.includes(348)) {
    const magic = text(344);
    if (magic === "n+1\0" || magic === "ni1\0") return { version: 1, pair: magic[1] === "i" };
    if (magic === "\0\0\0\0") {
      const remedy = "that format does not tell left from right: convert it to NIfTI";
      throw new DataError(`${name}: expected NIfTI, got Analyze 7.5: ${remedy}`);
    }
    const printable = JSON.stringify(magic.replace(/\0+$/, ""));
    throw new DataError(`${name}: expected the NIfTI magic "n+1" or "ni1", got ${printable}`);
  }
  const magic = text(4);
  if (sizes.includes(540) && (magic === "n+2\0" || magic === "ni2\0")) {
    if (bytes.length < 540)
      throw new DataError(`${name}: expected a NIfTI-2 header of 540 bytes, got ${bytes.length}`);
    return { version: 2, pair: magic[1] === "i" };
  }
  throw new DataError(
    `${name}: expected a NIfTI file, got another format: it does not start with a NIfTI header`,
  );
}

function shapeOf({ dims }: NIFTI1 | NIFTI2, name: string): { size: Vec3; channels: number } {
  const rank = dims[0]!;
  const listed = `dim [${dims.join(", ")}]`;
  if (!(rank >= 1 && rank <= 7)) throw new DataError(`${name}: expected 1 to 7 dimensions, got ${listed}`);
  const used = dims.slice(1, rank + 1);
  if (used.some((length) => !(length >= 1))) {
    throw new DataError(`${name}: expected positive dimensions, got ${listed}: its header is damaged`);
  }
  if (used.slice(5).some((length) => length > 1)) {
    throw new DataError(
      `${name}: expected a volume, or several in the fourth and fifth dimension, got ${listed}`,
    );
  }
  const [width = 1, height = 1, depth = 1, ...others] = used;
  return { size: [depth, height, width], channels: others.reduce((product, length) => product * length, 1) };
}

function affineOf(fields: NIFTI1 | NIFTI2, bytes: Uint8Array, size: Vec3, name: string): number[][] {
  const affine = chooseAffine(fields, bytes, size);
  const volume = determinant(affine);
  if (!affine.flat().every(Number.isFinite) || volume === 0) {
    throw new DataError(`${name}: expected an invertible affine, got ${formatAffine(affine)}`);
  }
  return affine;
}

function voxelSizes({ pixDims }: NIFTI1 | NIFTI2): [number, number, number] {
  return [1, 2, 3].map((axis) => Math.abs(pixDims[axis]!)) as [number, number, number];
}

function qformAffine(fields: NIFTI1 | NIFTI2): number[][] {
  return affineOfQform({
    quaternion: [fields.quatern_b, fields.quatern_c, fields.quatern_d],
    pixdim: voxelSizes(fields),
    qfac: fields.pixDims[0] === -1 ? -1 : 1,
    offset: [fields.qoffset_x, fields.qoffset_y, fields.qoffset_z],
  });
}

function chooseAffine(fields: NIFTI1 | NIFTI2, bytes: Uint8Array, [depth, height, width]: Vec3): number[][] {
  if (fields.sform_code > 0) {
    // Read here because the library prefers the qform if its code is the larger one.
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const at = (index: number) =>
      fields instanceof NIFTI1
        ? view.getFloat32(280 + 4 * index, fields.littleEndian)
        : view.getFloat64(400 + 8 * index, fields.littleEndian);
    return [...[0, 4, 8].map((row) => [0, 1, 2, 3].map((column) => at(row + column))), [0, 0, 0, 1]];
  }
  if (fields.qform_code > 0) return qformAffine(fields);
  const [dx, dy, dz] = voxelSizes(fields);
  const middle = [(dx * (width - 1)) / 2, (-dy * (height - 1)) / 2, (-dz * (depth - 1)) / 2];
  return [
    [-dx, 0, 0, middle[0]!],
    [0, dy, 0, middle[1]!],
    [0, 0, dz, middle[2]!],
    [0, 0, 0, 1],
  ];
}
