// Encodes protocol buffers: fields one after another, each with a number, a wire type and a value; a nested
// message is a field of its bytes. Format: https://protobuf.dev/programming-guides/encoding

/** One or more encoded fields. */
export type Field = Uint8Array;

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** A non-negative integer, or an enum's value. */
export function integer(number: number, value: number): Field {
  return Uint8Array.from([...tag(number, WIRE.varint), ...varint(value)]);
}

/** A single-precision number. */
export function single(number: number, value: number): Field {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return Uint8Array.from([...tag(number, WIRE.fixed32), ...bytes]);
}

/** A double-precision number. */
export function double(number: number, value: number): Field {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return Uint8Array.from([...tag(number, WIRE.fixed64), ...bytes]);
}

export function text(number: number, value: string): Field {
  return bytes(number, new TextEncoder().encode(value));
}

export function bytes(number: number, value: Uint8Array): Field {
  return joined([Uint8Array.from([...tag(number, WIRE.bytes), ...varint(value.length)]), value]);
}

/** A message of these fields. */
export function message(number: number, ...fields: readonly Field[]): Field {
  return bytes(number, joined(fields));
}

/** Joins fields to the content of a message, or a whole file. */
export function joined(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const field of fields) {
    all.set(field, at);
    at += field.length;
  }
  return all;
}

function tag(number: number, wire: number): number[] {
  return varint(number * 8 + wire);
}

/**
 * Seven bits per byte, the lowest first; the eighth is set while more follow. Throws unless `value` is an
 * integer ≥ 0.
 */
function varint(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`protobuf: expected an integer of at least 0, got ${value}`);
  const found: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...found, rest];
    found.push((rest % 128) + 128);
  }
}
