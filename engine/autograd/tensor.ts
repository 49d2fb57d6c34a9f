import type { Device } from "../gpu/device.ts";
import { BYTES, type Operand, type Precision } from "../gpu/operand.ts";

/**
 * A stretch of a buffer and who answers for it. Scopes let go of what was made in them when they end,
 * the program keeps what it keep()s, and a tape holds what a backward pass will read. A buffer that
 * nobody owns or holds goes back to the device. A view is a part of another tensor's buffer, which
 * it holds: that one is recycled after the last of its views.
 */
export interface Storage {
  buffer: GPUBuffer | null;
  offset: number; // in bytes
  owner: "scope" | "program" | "none";
  holds: number;
  whole: Tensor | null; // of which this is a view
}

/** A dense array on a device, row-major. Ops are functions, not methods. */
export class Tensor implements Operand {
  readonly device: Device;
  readonly shape: readonly number[];
  readonly precision: Precision;
  readonly size: number;
  readonly storage: Storage;

  constructor(device: Device, shape: readonly number[], precision: Precision = "f32") {
    this.device = device;
    this.shape = shape;
    this.precision = precision;
    this.size = shape.reduce((a, b) => a * b, 1);
    this.storage = { buffer: device.alloc(this.bytes), offset: 0, owner: "none", holds: 0, whole: null };
    adopt(this);
  }

  get buffer(): GPUBuffer {
    if (this.storage.buffer) return this.storage.buffer;
    throw new Error(
      `tensor [${this.shape}] is gone: its scope ended or its backward ran. keep() it, or return it from the scope`,
    );
  }

  /** What it takes in memory, whole words: of an odd number of f16 the last word is half empty. */
  get bytes(): number {
    return Math.ceil((BYTES[this.precision] * this.size) / 4) * 4;
  }

  /** Where the tensor is bound: its exact bytes, so that arrayLength() in a shader is its size. */
  get binding(): GPUBufferBinding {
    return { buffer: this.buffer, offset: this.storage.offset, size: this.bytes };
  }

  async read(): Promise<Float32Array<ArrayBuffer>> {
    if (this.precision !== "f32")
      throw new Error(`read: expected f32, got ${this.precision}: cast() it first`);
    return new Float32Array(await this.device.read(this.buffer, this.storage.offset, this.bytes));
  }

  async item(): Promise<number> {
    if (this.size !== 1) throw new Error(`item: expected one element, got [${this.shape}]`);
    return (await this.read())[0]!;
  }

  /** Replaces the values. */
  write(data: ArrayLike<number>): void {
    if (this.precision !== "f32")
      throw new Error(`write: expected f32, got ${this.precision}: cast() it later`);
    if (data.length !== this.size) {
      throw new Error(`write: shape [${this.shape}] needs ${this.size} values, got ${data.length}`);
    }
    const values = data instanceof Float32Array && data.buffer instanceof ArrayBuffer;
    const floats = values ? (data as Float32Array<ArrayBuffer>) : new Float32Array(data);
    this.device.write(this.buffer, this.storage.offset, floats);
  }
}

/** A tensor with the given values, in row-major order. */
export function tensor(device: Device, shape: readonly number[], data: ArrayLike<number>): Tensor {
  const t = new Tensor(device, shape);
  t.write(data);
  return t;
}

// ---- lifetime ----------------------------------------------------------------------------------

type Tensors = Tensor | Readonly<Record<string, Tensor>> | void;

const scopes: Tensor[][] = [];

/**
 * Runs `f`, then lets go of every tensor made in it but those it returns, which pass to the scope
 * around it. Put one around a layer and it serves both modes: a tape holds what the backward pass
 * needs, and without a tape the layer's intermediates are free for the next layer at once.
 */
export function scope<T extends Tensors>(f: () => T): T {
  const made: Tensor[] = [];
  scopes.push(made);
  let result: T | undefined;
  try {
    result = f();
    if (result instanceof Promise) throw new Error("scope: the body must be synchronous; await outside it");
    return result;
  } finally {
    scopes.pop();
    const tensors: readonly Tensor[] = result instanceof Tensor ? [result] : Object.values(result ?? {});
    const returned = new Set(tensors.map((t) => t.storage));
    for (const t of made) {
      if (t.storage.owner !== "scope") continue;
      if (returned.has(t.storage)) adopt(t);
      else free(t);
    }
  }
}

/** Makes the program the owner: the tensor outlives its scope, until free(). */
export function keep<T extends Tensor>(t: T): T {
  t.storage.owner = "program";
  return t;
}

/** Gives the tensor up. Its buffer is recycled now, or when the last hold on it is released. */
export function free(t: Tensor): void {
  t.storage.owner = "none";
  recycle(t);
}

/** The running scope, or else the program, becomes the owner. */
export function adopt(t: Tensor): Tensor {
  t.storage.owner = scopes.length ? "scope" : "program";
  scopes.at(-1)?.push(t);
  return t;
}

export function hold(t: Tensor): Tensor {
  t.storage.holds++;
  return t;
}

export function release(t: Tensor): void {
  t.storage.holds--;
  recycle(t);
}

function recycle({ device, storage }: Tensor): void {
  if (storage.owner !== "none" || storage.holds > 0 || !storage.buffer) return;
  if (!storage.whole) device.recycle(storage.buffer);
  storage.buffer = null;
  if (storage.whole) release(storage.whole);
}

/**
 * Moves tensors of the program into one buffer, each a view of it at a multiple of 256 bytes, and returns the
 * whole as a flat tensor, zero between the views. The tensors keep their values and identities. The whole
 * lives as long as one of them. Throws where a tensor is already a view, or does not belong to the program.
 */
export function pack(tensors: readonly Tensor[]): Tensor {
  for (const [i, { shape, storage }] of tensors.entries()) {
    if (storage.whole)
      throw new Error(
        `pack: tensor ${i}, [${shape}], is a part of another buffer: a parameter belongs to one optimizer`,
      );
    if (storage.owner !== "program" || !storage.buffer)
      throw new Error(`pack: tensor ${i}, [${shape}], must be the program's own: keep() it first`);
  }
  const device = tensors[0]!.device;
  const offsets: number[] = [];
  let bytes = 0;
  for (const t of tensors) {
    offsets.push(bytes);
    bytes += Math.ceil((4 * t.size) / ALIGNMENT) * ALIGNMENT;
  }
  const flat = keep(new Tensor(device, [bytes / 4]));
  flat.write(new Float32Array(flat.size));
  for (const [i, { storage, size }] of tensors.entries()) {
    const buffer = storage.buffer!;
    device.copy(buffer, storage.offset, flat.buffer, offsets[i]!, 4 * size);
    device.recycle(buffer);
    Object.assign(storage, { buffer: flat.buffer, offset: offsets[i]!, whole: hold(flat) });
  }
  free(flat);
  return flat;
}

const ALIGNMENT = 256; // minStorageBufferOffsetAlignment, the default

/** Gives the views that pack() made buffers of their own again, with their values. */
export function unpack(views: readonly Tensor[]): void {
  for (const { device, storage, size } of views) {
    const { buffer, offset, whole } = storage;
    if (!buffer || !whole) continue; // freed, or no view
    const own = device.alloc(4 * size);
    device.copy(buffer, offset, own, 0, 4 * size);
    Object.assign(storage, { buffer: own, offset: 0, whole: null });
    release(whole);
  }
}
