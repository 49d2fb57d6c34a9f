// Checksums.

/** Returns the SHA-256 of the values' bytes, in hexadecimal. */
export async function sha256(values: Uint8Array | Float32Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", values as BufferSource);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const known = new WeakMap<ArrayBufferLike, Map<string, Promise<string>>>();

/** Returns the SHA-256 of voxels, computed once: nobody may change them afterwards. */
export function voxelDigest(voxels: Float32Array): Promise<string> {
  const { buffer, byteOffset, byteLength } = voxels;
  const digests = known.get(buffer) ?? new Map<string, Promise<string>>();
  known.set(buffer, digests);
  const key = `${byteOffset} ${byteLength}`;
  const digest = digests.get(key) ?? sha256(voxels);
  digests.set(key, digest);
  return digest;
}
