// Checksums.

/** Returns the SHA-256 of the values' bytes, in hexadecimal. */
export async function sha256(values: Uint8Array | Float32Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", values as BufferSource);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
