// Writes gzip-compressed NIfTI files. A prediction keeps its source's grid: its header has the source's bytes
// for affine, sform, qform and voxel sizes, and no text that could name a patient.

import { NIFTI1 } from "nifti-reader-js";
import { type Affine, qformOf, type Vec3 } from "./geometry.ts";
import { gzip } from "./gzip.ts";
import { DATATYPES, headerLength } from "./header.ts";

// NIfTI's codes: coordinates of the scanner, units, voxel types.
const SCANNER = 1;
const MILLIMETRES = 2;
const UINT8 = 2;
const FLOAT32 = 16;

/**
 * Returns a compressed NIfTI-1 file of one volume: `data` is [D, H, W] and keeps its type. The affine becomes
 * the sform, and also the qform unless it shears.
 */
export async function writeNifti(volume: {
  data: Uint8Array | Int16Array | Float32Array;
  size: Vec3;
  affine: Affine;
}): Promise<Uint8Array> {
  const { data, size, affine } = volume;
  checkSize("writeNifti", data.length, size);
  if (size.some((length) => length > 32767)) {
    throw new Error(`writeNifti: expected at most 32767 voxels a side, got [${size}]`);
  }
  const header = new NIFTI1();
  const [depth, height, width] = size;
  const type = data instanceof Uint8Array ? "uint8" : data instanceof Int16Array ? "int16" : "float32";
  header.littleEndian = true;
  header.dims = [3, width, height, depth, 1, 1, 1, 1];
  header.datatypeCode = [...DATATYPES.keys()].find((code) => DATATYPES.get(code)!.name === type)!;
  header.numBitsPerVoxel = 8 * data.BYTES_PER_ELEMENT;
  header.vox_offset = headerLength(1);
  header.scl_slope = 1;
  header.scl_inter = 0;
  header.xyzt_units = MILLIMETRES;
  header.sform_code = SCANNER;
  header.affine = affine.map((row) => [...row]);
  const qform = qformOf(affine);
  const spacing = [0, 1, 2].map((axis) =>
    Math.hypot(affine[0]![axis]!, affine[1]![axis]!, affine[2]![axis]!),
  );
  header.pixDims = [qform?.qfac ?? 1, ...spacing, 1, 1, 1, 1];
  header.qform_code = qform ? SCANNER : 0;
  [header.quatern_b, header.quatern_c, header.quatern_d] = qform?.quaternion ?? [0, 0, 0];
  [header.qoffset_x, header.qoffset_y, header.qoffset_z] = qform?.offset ?? [0, 0, 0];
  header.magic = "n+1\0";
  // Every machine with WebGPU is little-endian.
  const voxels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return packed(new Uint8Array(header.toArrayBuffer()), voxels);
}

/**
 * Returns a compressed label map of uint8 values `labels` [D, H, W] in the grid of the file that `header`
 * came from (352 bytes, or 544 of NIfTI-2; its byte order is kept). Free text is cleared: it may name people.
 */
export async function writeLabelLike(
  header: Uint8Array,
  labels: Uint8Array,
  size: Vec3,
): Promise<Uint8Array> {
  checkSize("writeLabelLike", labels.length, size);
  return packed(headerLike(header, size, { volumes: 1, type: UINT8, bits: 8 }).bytes, labels);
}

/** As `writeLabelLike`, for probabilities [C, D, H, W]: a 4-D file of float32 with one volume per class. */
export async function writeProbabilitiesLike(
  header: Uint8Array,
  probabilities: Float32Array,
  size: Vec3,
): Promise<Uint8Array> {
  const volumes = probabilities.length / (size[0] * size[1] * size[2]);
  if (!Number.isInteger(volumes) || volumes < 1) {
    throw new Error(
      `writeProbabilitiesLike: expected volumes of [${size}], got ${probabilities.length} voxels`,
    );
  }
  const { bytes, little } = headerLike(header, size, { volumes, type: FLOAT32, bits: 32 });
  const voxels = new Uint8Array(4 * probabilities.length);
  const view = new DataView(voxels.buffer);
  probabilities.forEach((value, i) => view.setFloat32(4 * i, value, little));
  return packed(bytes, voxels);
}

/** Returns a header with the grid and byte order of `header`, for the given content. */
function headerLike(
  header: Uint8Array,
  [depth, height, width]: Vec3,
  { volumes, type, bits }: { volumes: number; type: number; bits: number },
): { bytes: Uint8Array; little: boolean } {
  const bytes = new Uint8Array(header);
  const view = new DataView(bytes.buffer);
  const little = view.getInt32(0, true) === 348 || view.getInt32(0, true) === 540;
  const version = view.getInt32(0, little) === 348 ? 1 : 2;
  if (header.length !== headerLength(version)) {
    throw new Error(`expected a header of ${headerLength(version)} bytes, got ${header.length}`);
  }
  const dims = [volumes > 1 ? 4 : 3, width, height, depth, volumes, 1, 1, 1];
  if (version === 1) {
    dims.forEach((length, i) => view.setInt16(40 + 2 * i, length, little));
    view.setInt16(70, type, little);
    view.setInt16(72, bits, little);
    view.setFloat32(108, headerLength(1), little);
    view.setFloat32(112, 1, little);
    bytes.set([0x6e, 0x2b, 0x31, 0], 344); // n+1: one file
  } else {
    dims.forEach((length, i) => view.setBigInt64(16 + 8 * i, BigInt(length), little));
    view.setInt16(12, type, little);
    view.setInt16(14, bits, little);
    view.setBigInt64(168, BigInt(headerLength(2)), little);
    view.setFloat64(176, 1, little);
    bytes.set([0x6e, 0x2b, 0x32, 0], 4); // n+2: one file
  }
  for (const [start, end] of CLEARED[version]) bytes.fill(0, start, end);
  return { bytes, little };
}

/** Byte ranges that do not describe the grid. Some hold text that may name people. */
const CLEARED = {
  1: [
    [4, 32], // data_type, db_name
    [56, 70], // intent_p1 ... intent_code
    [116, 120], // scl_inter
    [124, 132], // cal_max, cal_min
    [140, 252], // glmax, glmin, descrip, aux_file
    [328, 344], // intent_name
    [348, 352], // extensions
  ],
  2: [
    [80, 104], // intent_p1 ... p3
    [184, 208], // scl_inter, cal_max, cal_min
    [240, 344], // descrip, aux_file
    [504, 524], // intent_code, intent_name
    [525, 544], // unused, extensions
  ],
} as const;

function checkSize(name: string, voxels: number, size: Vec3): void {
  if (voxels === size[0] * size[1] * size[2]) return;
  throw new Error(`${name}: expected the voxels of [${size}], got ${voxels}`);
}

function packed(header: Uint8Array, voxels: Uint8Array): Promise<Uint8Array> {
  const file = new Uint8Array(header.length + voxels.length);
  file.set(header);
  file.set(voxels, header.length);
  return gzip(file);
}
