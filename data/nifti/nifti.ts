// Reads NIfTI files: NIfTI-1 and -2, either byte order, single files and .hdr/.img pairs, compressed or not
// (by content, not by name). x runs fastest in the file, so its voxels are a row-major array [C, D=z, H=y,
// W=x].

import { DataError } from "../errors.ts";
import { spacingOf, type Vec3 } from "./geometry.ts";
import { gunzip, isGzip, MOST_UNPACKED, type Receiver } from "./gzip.ts";
import type { Unit } from "./units.ts";
import { formatVoxels, type NiftiHeader, readHeader } from "./header.ts";
import { VoxelDecoder } from "./voxels.ts";

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
  const found: { header?: NiftiHeader; decoder?: VoxelDecoder } = {};
  await unpack(bytes, name, (head) => {
    const header = (found.header = readHeader(head, name));
    if (header.pair) return { declared: header.offset, push: () => undefined };
    return receiver(header, (found.decoder = decoderOf(header, bytes, name)));
  });
  const header = found.header!;
  const { data, held } = found.decoder ?? (await readImage(pair, header, name));
  if (held < header.voxelBytes) {
    const expected = `expected ${header.voxelBytes} bytes of voxels (${formatVoxels(header)})`;
    throw new DataError(`${name}: ${expected}, got ${held}: the file is truncated: copy it again`);
  }
  const { size, channels, affine, unit, disagreement } = header;
  return {
    size,
    channels,
    data,
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
): Promise<VoxelDecoder> {
  if (!pair) throw new DataError(`${name}: expected its .img file beside it, got the header alone`);
  let decoder!: VoxelDecoder;
  await unpack(pair, `${name} (.img)`, () => {
    decoder = decoderOf(header, pair, name);
    return receiver(header, decoder);
  });
  return decoder;
}

/** Passes on the content of a file, compressed or not, as gunzip() does. */
async function unpack(bytes: Uint8Array, name: string, begin: (head: Uint8Array) => Receiver): Promise<void> {
  if (isGzip(bytes)) return gunzip(bytes, name, begin);
  begin(bytes).push(bytes);
}

/** A decoder of the voxels in a file. Throws a DataError where the memory is too small for them. */
function decoderOf(header: NiftiHeader, file: Uint8Array, name: string): VoxelDecoder {
  const most = isGzip(file) ? MOST_UNPACKED * file.length : file.length;
  try {
    return new VoxelDecoder(header, most);
  } catch {
    const mib = Math.ceil((4 * header.voxelBytes) / header.datatype.bytes / 2 ** 20);
    throw new DataError(
      `${name}: reading its ${formatVoxels(header)} voxels takes ${mib} MiB of memory, which is not there: crop it, or ` +
        "use a machine with more memory",
    );
  }
}

function receiver({ offset, voxelBytes }: NiftiHeader, decoder: VoxelDecoder): Receiver {
  return { declared: offset + voxelBytes, push: (bytes) => decoder.push(bytes) };
}
