// A checksum inside a checkpoint: the first metadata of its header is the SHA-256 of all bytes of the file,
// with the checksum's own digits as zeros. It finds a flipped bit or a missing end, and any reader of
// safetensors still opens the file.

import { encodeSafetensors, type StoredTensor } from "./safetensors.ts";
import { CheckpointError } from "../errors.ts";

const BEGINNING = new TextEncoder().encode('{"__metadata__":{"sha256":"'); // after the header's length
const PLACE = 8 + BEGINNING.length; // where the checksum begins
const DIGITS = 64;
const ZEROS = "0".repeat(DIGITS);

/** Encodes a safetensors file with its checksum as the metadata `sha256`. */
export async function encodeSealed(
  tensors: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = encodeSafetensors(tensors, { sha256: ZEROS, ...metadata });
  bytes.set(new TextEncoder().encode(await digest(bytes)), PLACE);
  return bytes;
}

/**
 * Returns true if the file has a checksum, and false if not; `name` is the file's name for messages. Throws a
 * CheckpointError if the checksum is wrong.
 */
export async function checkSeal(bytes: Uint8Array, name: string): Promise<boolean> {
  if (bytes.length < PLACE + DIGITS || BEGINNING.some((byte, i) => bytes[8 + i] !== byte)) return false;
  const place = bytes.subarray(PLACE, PLACE + DIGITS);
  const written = Uint8Array.from(place);
  place.fill(0x30); // "0"
  const found = await digest(bytes);
  place.set(written);
  if (new TextDecoder().decode(written) === found) return true;
  throw new CheckpointError(`${name}: damaged: its content does not match its checksum`);
}

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
