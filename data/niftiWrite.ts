// Volumes to gzip'd NIfTI files. A prediction goes out in its source's own grid: the header is the source's
// with the bytes of affine, sform, qform and voxel sizes untouched, and with nothing in it that could name
// a patient.

import { NIFTI1 } from "nifti-reader-js";
import { type Affine, qformOf, type Vec3 } from "./geometry.ts";
import { gzip } from "./gzip.ts";
import { DATATYPES, headerLength } from "./niftiHeader.ts";

const SCANNER = 1; // the code of an affine in the scanner's coordinates
const MILLIMETRES = 2;
const UINT8 = 2;

/**
 * A NIfTI-1 file, gzip'd, of one volume: `data` is [D, H, W] and kept in its type. The affine is written as
 * sform, and as qform too unless it shears.
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
  // What has WebGPU is little-endian.
  const voxels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return packed(new Uint8Array(header.toArrayBuffer()), voxels);
}

/**
 * A label map in the grid of the file that `header` came from (352 bytes, or 544 of NIfTI-2; byte order
 * kept): uint8 values `labels` [D, H, W], gzip'd. Free text is cleared: it may name people.
 */
export async function writeLabelLike(
  header: Uint8Array,
  labels: Uint8Array,
  size: Vec3,
): Promise<Uint8Array> {
  checkSize("writeLabelLike", labels.length, size);
  const bytes = new Uint8Array(header);
  const view = new DataView(bytes.buffer);
  const little = view.getInt32(0, true) === 348 || view.getInt32(0, true) === 540;
  const version = view.getInt32(0, little) === 348 ? 1 : 2;
  if (header.length !== headerLength(version)) {
    throw new Error(
      `writeLabelLike: expected a header of ${headerLength(version)} bytes, got ${header.length}`,
    );
  }
  const [depth, height, width] = size;
  const dims = [3, width, height, depth, 1, 1, 1, 1];
  if (version === 1) {
    dims.forEach((length, i) => view.setInt16(40 + 2 * i, length, little));
    view.setInt16(70, UINT8, little);
    view.setInt16(72, 8, little);
    view.setFloat32(108, headerLength(1), little);
    view.setFloat32(112, 1, little);
    bytes.set([0x6e, 0x2b, 0x31, 0], 344); // n+1: one file
  } else {
    dims.forEach((length, i) => view.setBigInt64(16 + 8 * i, BigInt(length), little));
    view.setInt16(12, UINT8, little);
    view.setInt16(14, 8, little);
    view.setBigInt64(168, BigInt(headerLength(2)), little);
    view.setFloat64(176, 1, little);
    bytes.set([0x6e, 0x2b, 0x32, 0], 4); // n+2: one file
  }
  for (const [start, end] of CLEARED[version]) bytes.fill(0, start, end);
  return packed(bytes, labels);
}

/** Byte ranges that say nothing of a label map's grid; text among them may name people. */
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
