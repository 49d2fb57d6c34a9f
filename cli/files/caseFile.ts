// Prepared cases on disk, for runs whose cases do not fit in memory. The name of a file is a checksum of all
// that the case was made from, so that a changed input is never mistaken for it:
//   magic [8], bytes of the head [4], 0 [4], SHA-256 of all that follows [32],
//   the head, padded to a multiple of 8 (V8's serialisation of the case without arrays), images, label.

import { createHash } from "node:crypto";
import { mkdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { bytesText } from "../../engine/index.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { Reading } from "./dataWorkers.ts";
import { writeAtomically } from "./files.ts";
import { readFile } from "../terminal/userFile.ts";

/** To be raised when cases are prepared in another way, or this format changes. */
export const CASE_VERSION = 1;

const MAGIC = "PKDCASE1";
const FIXED = 48; // bytes before the head

/** Free bytes that the disk keeps, for checkpoints. */
const RESERVE = 2 ** 30;

/** Makes the folder. Throws a UsageError where that is not possible. */
export async function openCaseFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `--cache-dir: expected a folder that can be written to, got ${folder} (${error.code}): choose another`,
    );
  });
}

/** The name of a case's file: it depends on the bytes of its source files, and on how they are prepared. */
export function caseFileName(reading: Reading, { images, label }: CaseRecord): string {
  const { data: _data, required: _required, dataset, ...how } = reading;
  const files = Object.entries(images).map(([modality, { sha256, channel }]) => [modality, sha256, channel]);
  const made = { version: CASE_VERSION, convention: dataset.convention, how, files, label: label?.sha256 };
  return `${createHash("sha256").update(JSON.stringify(made)).digest("hex")}.case`;
}

/** The bytes of a case's file. */
export function encodeCase({ images, label, ...rest }: Case): Uint8Array {
  const { header, ...source } = rest.source;
  const head = serialize({ ...rest, source: { ...source, header: header.slice() }, labelled: !!label });
  const arrays = FIXED + padded(head.length);
  const file = new Uint8Array(arrays + images.byteLength + (label?.length ?? 0));
  file.set(Buffer.from(MAGIC));
  new DataView(file.buffer).setUint32(8, head.length, true);
  file.set(head, FIXED);
  file.set(new Uint8Array(images.buffer, images.byteOffset, images.byteLength), arrays);
  if (label) file.set(label, arrays + images.byteLength);
  file.set(checksum(file), 16);
  return file;
}

/** Reads the bytes of a case's file; returns null if they are damaged. */
export function decodeCase(file: Uint8Array<ArrayBuffer>): Case | null {
  if (file.length < FIXED || Buffer.from(file.subarray(0, 8)).toString("latin1") !== MAGIC) return null;
  if (!checksum(file).equals(file.subarray(16, FIXED))) return null;
  const view = new DataView(file.buffer, file.byteOffset);
  const headBytes = view.getUint32(8, true);
  const head = deserialize(file.subarray(FIXED, FIXED + headBytes)) as Omit<Case, "images" | "label"> & {
    labelled: boolean;
  };
  const { labelled, ...rest } = head;
  const voxels = rest.size[0] * rest.size[1] * rest.size[2];
  const values = rest.channels.length * voxels;
  const arrays = file.byteOffset + FIXED + padded(headBytes);
  if (file.byteOffset + file.length !== arrays + 4 * values + (labelled ? voxels : 0)) return null;
  const images = new Float32Array(file.buffer, arrays, values);
  const label = labelled ? new Uint8Array(file.buffer, arrays + 4 * values, voxels) : undefined;
  return { ...rest, images, ...(label && { label }) };
}

/** Reads a case's file from the folder; returns null if it is missing or damaged. */
export async function readCaseFile(folder: string, name: string): Promise<Case | null> {
  const bytes = await readFile(join(folder, name)).catch(() => null);
  return bytes && decodeCase(bytes as Uint8Array<ArrayBuffer>);
}

/**
 * Writes a case's file, unless it is there. Returns why it could not be written, or null: training goes on
 * without it.
 */
export async function writeCaseFile(
  folder: string,
  name: string,
  prepared: Case,
  { replace = false, reserve = RESERVE } = {},
): Promise<string | null> {
  const path = join(folder, name);
  try {
    if (!replace && (await stat(path).catch(() => null))) return null;
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    if (free > 0 && free < reserve + caseBytes(prepared)) return `the disk has ${bytesText(free)} left`;
    await writeAtomically(path, encodeCase(prepared));
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Bytes of a prepared case's arrays. */
export function caseBytes({ images, label }: Case): number {
  return images.byteLength + (label?.byteLength ?? 0);
}

function padded(bytes: number): number {
  return 8 * Math.ceil(bytes / 8);
}

function checksum(file: Uint8Array): Buffer {
  return createHash("sha256").update(file.subarray(FIXED)).digest();
}
