// A checkpoint's checksum, inside the file: the first metadata of its header is the SHA-256 of all its bytes, those of
// the checksum itself taken as zeros. So a bit that flips anywhere in the file, or an end that is missing, is found
// before anything in it is believed, and the file remains one that any reader of safetensors opens.

import { encodeSafetensors, type StoredTensor } from "./safetensors.ts";
import { CheckpointError } from "../errors.ts";

const BEGINNING = new TextEncoder().encode('{"__metadata__":{"sha256":"'); // after eight bytes with a length
const PLACE = 8 + BEGINNING.length; // of the checksum
const DIGITS = 64;
const ZEROS = "0".repeat(DIGITS);

/** A safetensors file with its checksum, which becomes the metadata `sha256`. */
export async function encodeSealed(
  tensors: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = encodeSafetensors(tensors, { sha256: ZEROS, ...metadata });
  bytes.set(new TextEncoder().encode(await digest(bytes)), PLACE);
  return bytes;
}

/**
 * Whether the file's bytes have a checksum; `name` is the file's, for messages. Throws a CheckpointError where they are
 * not what it says.
 */
export async function checkSeal(bytes: Uint8Array, name: string): Promise<boolean> {
  if (bytes.length < PLACE + DIGITS || BEGINNING.some((byte, i) => bytes[8 + i] !== byte)) return false;
  const place = bytes.subarray(PLACE, PLACE + DIGITS);
  const written = Uint8Array.from(place);
  place.fill(0x30); // "0"
  const found = await digest(bytes);
  place.set(written);
  if (new TextDecoder().decode(written) === found) return true;
  throw new CheckpointError(`${name}: damaged: its content does not have the checksum that it names`);
}

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
