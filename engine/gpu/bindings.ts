// The buffers and uniforms that kernels are called with. WebGPU takes the buffers of a dispatch as a bind
// group, whose creation costs more than all else that JavaScript does for the dispatch. So bind groups are
// kept: the pool hands out the same buffers step after step, and a step like the one before creates none.

/** The bindings of an entry point, as its shader declares them. */
export interface Signature {
  buffers: readonly { binding: number; writable: boolean }[];
  uniform: { binding: number; size: number } | null;
}

/** A signature on a device, with the bind groups created so far, by their buffers. */
export interface Layout extends Signature {
  group: GPUBindGroupLayout;
  pipeline: GPUPipelineLayout;
  groups: Map<string, GPUBindGroup>;
}

/** Pipelines to compile, by their keys in `device.pipelines`. */
export type Plan = Map<string, { descriptor: GPUComputePipelineDescriptor; layout: Layout }>;

const MOST_GROUPS = 8192; // bind groups kept at a time: several times as many as a step needs

export class Bindings {
  readonly #gpu: GPUDevice;
  readonly #uniforms: GPUBuffer;
  readonly #layouts = new Map<Signature, Layout>();
  readonly #numbers = new WeakMap<GPUBuffer, number>();
  #buffers = 0;
  #groups = 0;

  constructor(gpu: GPUDevice, uniforms: GPUBuffer) {
    this.#gpu = gpu;
    this.#uniforms = uniforms;
  }

  /** The layout of a signature, created once for each object. */
  layout(signature: Signature): Layout {
    return this.#layouts.get(signature) ?? this.#make(signature);
  }

  /** The bind group of these buffers, in the signature's order. A dispatch gives the uniforms' offset. */
  group(layout: Layout, buffers: readonly GPUBufferBinding[]): GPUBindGroup {
    let key = "";
    for (const { buffer, offset, size } of buffers) key += `${this.#number(buffer)},${offset},${size};`;
    const known = layout.groups.get(key);
    if (known) return known;
    if (this.#groups === MOST_GROUPS) this.clear();
    const entries: GPUBindGroupEntry[] = buffers.map((resource, i) => {
      return { binding: layout.buffers[i]!.binding, resource };
    });
    if (layout.uniform) {
      const { binding, size } = layout.uniform;
      entries.push({ binding, resource: { buffer: this.#uniforms, size } });
    }
    const made = this.#gpu.createBindGroup({ layout: layout.group, entries });
    layout.groups.set(key, made);
    this.#groups++;
    return made;
  }

  /** Forgets all bind groups: for when buffers are destroyed, or when there are too many groups. */
  clear(): void {
    for (const { groups } of this.#layouts.values()) groups.clear();
    this.#groups = 0;
  }

  #make(signature: Signature): Layout {
    const visibility = GPUShaderStage.COMPUTE;
    const entries: GPUBindGroupLayoutEntry[] = signature.buffers.map(({ binding, writable }) => {
      return { binding, visibility, buffer: { type: writable ? "storage" : "read-only-storage" } };
    });
    if (signature.uniform) {
      const { binding, size: minBindingSize } = signature.uniform;
      entries.push({
        binding,
        visibility,
        buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize },
      });
    }
    const group = this.#gpu.createBindGroupLayout({ entries });
    const pipeline = this.#gpu.createPipelineLayout({ bindGroupLayouts: [group] });
    const layout = { ...signature, group, pipeline, groups: new Map<string, GPUBindGroup>() };
    this.#layouts.set(signature, layout);
    return layout;
  }

  #number(buffer: GPUBuffer): number {
    const known = this.#numbers.get(buffer);
    if (known === undefined) this.#numbers.set(buffer, ++this.#buffers);
    return known ?? this.#buffers;
  }
}
