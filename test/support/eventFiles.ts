// A reader of TensorBoard's event files that shares nothing with their writer.

import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";

/** One event, with what of it there is. */
export interface Read {
  time: number;
  step: number;
  version?: string;
  status?: number;
  scalars: [string, number][];
}

/** Events of a file; throws where a length, a checksum or a field is not as it should be. */
export function readEvents(path: string): Read[] {
  const bytes = readFileSync(path);
  const events: Read[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    assert.is(bytes.readUInt32LE(at + 8), masked(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    assert.is(bytes.readUInt32LE(at + 12 + length), masked(data));
    events.push(readEvent(data));
    at += 16 + length;
  }
  return events;
}

/** TFRecord's checksum by long division, a bit at a time. */
function masked(bytes: Uint8Array): number {
  let rest = 0xffffffffn;
  for (const byte of bytes) {
    rest ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) rest = rest & 1n ? (rest >> 1n) ^ 0x82f63b78n : rest >> 1n;
  }
  const crc = rest ^ 0xffffffffn;
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

function readEvent(data: Buffer): Read {
  const event: Read = { time: NaN, step: 0, scalars: [] };
  for (const [field, value] of fields(data)) {
    if (field === 1) event.time = (value as Buffer).readDoubleLE();
    else if (field === 2) event.step = value as number;
    else if (field === 3) event.version = String(value);
    else if (field === 7) event.status = new Map(fields(value as Buffer)).get(1) as number;
    else if (field === 5) {
      for (const [, entry] of fields(value as Buffer)) {
        const parts = new Map(fields(entry as Buffer));
        event.scalars.push([String(parts.get(1)), (parts.get(2) as Buffer).readFloatLE()]);
      }
    } else throw new Error(`field ${field}`);
  }
  return event;
}

/** Field numbers of a protocol buffer and their values: numbers, or the bytes of all else. */
function fields(data: Buffer): [number, number | Buffer][] {
  const found: [number, number | Buffer][] = [];
  let at = 0;
  const varint = () => {
    let [value, shift] = [0, 1];
    for (;;) {
      const byte = data[at++]!;
      value += (byte & 127) * shift;
      shift *= 128;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const kind = key & 7;
    if (kind === 0) found.push([key >> 3, varint()]);
    else {
      const length = kind === 1 ? 8 : kind === 5 ? 4 : varint();
      found.push([key >> 3, data.subarray(at, at + length)]);
      at += length;
    }
  }
  return found;
}
