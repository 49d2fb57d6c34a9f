import type { Device } from "../gpu/device.ts";
import { BYTES, type Operand, type Precision } from "../gpu/operand.ts";

/**
 * A range of a GPU buffer and its owner. A scope frees its tensors when it ends, the program keeps those that
 * it keep()s, and a tape holds those that the backward pass will read. A buffer without owner and holds goes
 * back to the device. A view is a part of another tensor's buffer and holds that tensor, which is recycled
 * after its last view.
 */
export interface Storage {
  buffer: GPUBuffer | null;
  offset: number; // in bytes
  owner: "scope" | "program" | "none";
  holds: number;
  whole: Tensor | null; // the tensor that this is a view of
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

  /** The buffer that the tensor lies in. Throws where the tensor was freed. */
  get buffer(): GPUBuffer {
    if (this.storage.buffer) return this.storage.buffer;
    throw new Error(
      `tensor [${this.shape}] was freed: its scope ended or its backward pass ran. ` +
        "keep() it, or return it from the scope",
    );
  }

  /** Bytes in memory, in whole words: an odd number of f16 leaves half a word empty. */
  get bytes(): number {
    return Math.ceil((BYTES[this.precision] * this.size) / 4) * 4;
  }

  /** The range to bind: the tensor's exact bytes, so that arrayLength() in a shader is its size. */
  get binding(): GPUBufferBinding {
    return { buffer: this.buffer, offset: this.storage.offset, size: this.bytes };
  }

  /** Reads the values, in row-major order. Throws for f16, and errors that the device reported. */
  async read(): Promise<Float32Array<ArrayBuffer>> {
    if (this.precision !== "f32")
      throw new Error(`read: expected f32, got ${this.precision}: cast() it first`);
    return new Float32Array(await this.device.read(this.buffer, this.storage.offset, this.bytes));
  }

  /** Reads the value of a tensor of one element. Throws where there are more. */
  async item(): Promise<number> {
    if (this.size !== 1) throw new Error(`item: expected one element, got [${this.shape}]`);
    return (await this.read())[0]!;
  }

  /** Replaces the values, in row-major order. Throws for f16, and for another number of values. */
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
 * Runs `f`, then frees the tensors made in it, except those it returns, which pass to the scope around it. A
 * scope around a layer serves training and inference: a tape holds what the backward pass needs, and without
 * a tape the next layer can use the memory of the layer's intermediates.
 */
export function scope<T extends Tensors>(f: () => T): T {
  const made: Tensor[] = [];
  scopes.push(made);
  let result: T | undefined;
  try {
    result = f();
    if (result instanceof Promise)
      throw new Error("scope: the function must be synchronous; await outside it");
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

/** Frees a tensor. Its buffer is recycled now, or when the last hold on it is released. */
export function free(t: Tensor): void {
  t.storage.owner = "none";
  recycle(t);
}

/** Makes the running scope, or else the program, the owner. */
export function adopt(t: Tensor): Tensor {
  t.storage.owner = scopes.length ? "scope" : "program";
  scopes.at(-1)?.push(t);
  return t;
}

/** Keeps the buffer of a tensor until release(), even when the tensor is freed. */
export function hold(t: Tensor): Tensor {
  t.storage.holds++;
  return t;
}

/** Ends a hold(). The buffer is recycled if nothing owns or holds it any more. */
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
