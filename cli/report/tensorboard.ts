// Writes TensorBoard's event files with scalars: records framed as TFRecord (length, its checksum, data, its
// checksum), each a protocol buffer with the messages and field numbers of tensorflow/core/util/event.proto.

import { randomBytes } from "node:crypto";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { checkHeld } from "../files/lock.ts";
import { double, type Field, integer, joined, message, single, text } from "../../model/files/protobuf.ts";

/** One value of one tag. */
export interface Scalar {
  tag: string;
  value: number;
}

/** One event file in a run's folder; events wait in memory until flush(). */
export class EventFile {
  readonly path: string;
  #pending: Uint8Array[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Begins a file in `folder`. TensorBoard then drops the values of `step` and later steps in older files
   * there, since this file says that a session starts at `step`.
   */
  static async begin(folder: string, step: number, now = Date.now()): Promise<EventFile> {
    await mkdir(folder, { recursive: true });
    const name = `events.out.tfevents.${(now / 1000).toFixed(3)}.protokd.${randomBytes(6).toString("hex")}`;
    const file = new EventFile(join(folder, name));
    file.#add(now, 0, text(3, "brain.Event:2")); // file_version
    file.#add(now, step, message(7, integer(1, 1))); // session_log: START
    await file.flush();
    return file;
  }

  /** Notes values of one step; NaN and infinity too, which TensorBoard marks. */
  scalars(step: number, values: readonly Scalar[], now = Date.now()): void {
    const parts = values.map(({ tag, value }) => message(1, text(1, tag), single(2, value)));
    if (parts.length) this.#add(now, step, message(5, ...parts)); // summary
  }

  /** Writes all pending events. */
  async flush(): Promise<void> {
    const bytes = joined(this.#pending);
    this.#pending = [];
    await checkHeld(this.path);
    await appendFile(this.path, bytes);
  }

  /** Adds an event with its wall time (in ms), step, and content. */
  #add(now: number, step: number, content: Field): void {
    this.#pending.push(tfRecord(joined([double(1, now / 1000), integer(2, step), content])));
  }
}

/** Data framed as one record. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(data.length), true);
  return joined([length, checksum(length), data, checksum(data)]);
}

/** TFRecord's masked checksum as four bytes: rotated and offset, since data may contain checksums too. */
function checksum(bytes: Uint8Array): Uint8Array {
  const crc = crc32c(bytes);
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, masked, true);
  return out;
}

/** CRC-32C (Castagnoli; RFC 3720, appendix B.4): reflected polynomial 0x82f63b78. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255]!;
  return (crc ^ 0xffffffff) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});
