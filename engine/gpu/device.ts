// A GPU device: one command encoder, one buffer pool, one uniform arena.
//
// Everything here is synchronous except open() and read(). Commands are recorded and submitted
// together by flush(); WebGPU runs dispatches of one queue in order, so a buffer that is recycled
// and handed out again inside the same submission is safe without fences.

import { Bindings, type Plan } from "./bindings.ts";
import { hollow } from "./counting.ts";
import { bytesText, GpuError, type GpuErrorKind, kindOf, located } from "./errors.ts";
import { napping, Pace } from "./pace.ts";
import type { GroupCounts } from "./grid.ts";
import { type Lanes, lanesOf } from "./lanes.ts";
import type { Listener } from "./listener.ts";
import type { Profile } from "./profile.ts";
import { Words } from "./words.ts";

const SLOT = 256; // minUniformBufferOffsetAlignment, guaranteed by the specification
const SLOTS = 1024; // dispatches per submission

/** Limits the engine profits from; WebGPU's defaults suffice for all of it but large volumes. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupStorageSize",
] as const;

/** Features the engine has faster kernels for, or a profile; it works without them. */
const FEATURES = ["timestamp-query", "subgroups", "shader-f16"] as const;

export interface DeviceOptions {
  /** "adapter" asks for what the adapter has, "default" for WebGPU's guaranteed minimum: no feature either. */
  limits?: "adapter" | "default";
  /**
   * How read() waits. Dawn's Node binding polls in a busy loop while anything is awaited, which takes a core
   * from a software adapter and halves its speed: "nap" looks but now and then, the thread asleep between.
   */
  wait?: "poll" | "nap";
  /** The most bytes that a tensor may have, where that should be less than the adapter allows. */
  largest?: number;
  /** The most workgroups along one dimension of a dispatch, where those should be fewer than the adapter allows. */
  widest?: number;
}

export class Device {
  /** Called with every device that is opened. */
  static readonly opened = new Set<(device: Device) => void>();

  readonly gpu: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly pipelines = new Map<string, GPUComputePipeline>();
  /** The most workgroups that a dispatch may have along one dimension. */
  readonly widest: number;
  /** The most bytes that a tensor may have: those of a binding, and of a buffer. */
  readonly largest: number;
  /** Of a subgroup, where kernels may use them. */
  readonly lanes: Lanes;
  /** The kernels chosen for this adapter; null: the defaults. tuningOf() of convolution/tuning.ts reads it. */
  tuning: object | null = null;
  /** Bytes handed out now, and the most ever handed out. */
  bytes = 0;
  peakBytes = 0;
  /** Bytes of all buffers, those that wait to be handed out again too: what tensors take of the GPU's memory. */
  pooledBytes = 0;
  /** Kernel calls so far (a call cut into several dispatches counts once), and submissions. */
  dispatches = 0;
  submissions = 0;
  /** Set to a Profile to time every dispatch; it costs a pass each. */
  profile: Profile | null = null;
  listener: Listener = {};
  /** While plan() runs: calls of kernels are noted there, and nothing is dispatched or copied. */
  plan: Plan | null = null;
  /** The uniforms of the submission being recorded. */
  readonly words = new Words(SLOT * SLOTS);
  readonly bindings: Bindings;

  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #free = new Map<number, GPUBuffer[]>();
  #uniforms: GPUBuffer;
  #slots = 0;
  #error: GpuError | null = null;

  #phase = "";
  #budget: number | null = null;
  #work = 0; // of the submission being recorded
  readonly #pace = new Pace();
  readonly #wait: "poll" | "nap";

  private constructor(
    adapter: GPUAdapter,
    gpu: GPUDevice,
    { wait = "poll", largest = Infinity, widest = Infinity }: DeviceOptions,
  ) {
    this.adapter = adapter;
    this.gpu = gpu;
    this.#wait = wait;
    this.largest = Math.min(largest, gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize);
    this.widest = Math.min(widest, gpu.limits.maxComputeWorkgroupsPerDimension);
    this.lanes = lanesOf({ info: adapter.info, features: gpu.features });
    this.#uniforms = gpu.createBuffer({
      label: "uniforms",
      size: SLOT * SLOTS,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.bindings = new Bindings(gpu, this.#uniforms);
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // it is thrown, and need not be printed as well
      this.#fail(kindOf(event.error), event.error.message);
    });
    void gpu.lost.then(({ reason, message }) => this.#fail("lost", `the GPU was lost: ${message || reason}`));
  }

  /** `gpu` is `navigator.gpu` in a browser and Dawn's in Node; see cli/device/gpu.ts. */
  static async open(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
    const { limits = "adapter" } = options;
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter)
      throw new Error("no WebGPU adapter: is a Vulkan driver installed? (Debian: mesa-vulkan-drivers)");
    const wanted = limits === "adapter" ? LIMITS : [];
    const requiredLimits = Object.fromEntries(wanted.map((limit) => [limit, adapter.limits[limit]]));
    const requiredFeatures = FEATURES.filter((f) => limits === "adapter" && adapter.features.has(f));
    const gpuDevice = await adapter.requestDevice({ requiredLimits, requiredFeatures });
    const device = new Device(adapter, gpuDevice, options);
    for (const listener of Device.opened) listener(device);
    return device;
  }

  /** A device like this one that only counts: what runs there computes nothing, and takes no memory. */
  counting(): Device {
    const counting = new Device(this.adapter, hollow(this.gpu), {
      largest: this.largest,
      widest: this.widest,
    });
    counting.tuning = this.tuning;
    return counting;
  }

  alloc(bytes: number): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (bytes > this.largest) {
      throw new GpuError(
        "out-of-memory",
        `a tensor of ${bytesText(bytes)} exceeds this adapter's largest binding, ${bytesText(this.largest)}: ` +
          "choose a smaller patch, batch or number of filters",
      );
    }
    this.bytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
    const buffer = this.#free.get(size)?.pop() ?? this.#create(size);
    this.listener.buffer?.(buffer);
    return buffer;
  }

  #create(size: number): GPUBuffer {
    this.pooledBytes += size;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.gpu.createBuffer({ size, usage });
  }

  recycle(buffer: GPUBuffer): void {
    this.bytes -= buffer.size;
    const bucket = this.#free.get(buffer.size);
    if (bucket) bucket.push(buffer);
    else this.#free.set(buffer.size, [buffer]);
  }

  /** Gives the pool's idle buffers back to the system, for when shapes change for good. */
  trim(): void {
    this.flush();
    for (const bucket of this.#free.values()) for (const buffer of bucket) buffer.destroy();
    this.pooledBytes = this.bytes;
    this.#free.clear();
    this.bindings.clear();
  }

  /** writeBuffer() overtakes commands still being recorded, so those go first. */
  write(buffer: GPUBuffer, offset: number, data: Float32Array<ArrayBuffer>): void {
    this.flush();
    this.gpu.queue.writeBuffer(buffer, offset, data);
  }

  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    if (this.plan) return;
    this.#endPass();
    this.#encoder ??= this.gpu.createCommandEncoder();
    this.#encoder.copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  /** A place in the arena, in bytes, for the uniforms of a dispatch: write them to `words` before the next flush(). */
  slot(): number {
    return SLOT * this.#slots++;
  }

  /** Makes room for a dispatch of `work` operations: call it before slot() and dispatch(). */
  reserve(work: number): void {
    if (this.#slots === SLOTS || (this.#work > 0 && this.#work + work > this.budget)) this.flush();
    this.#work += work;
    this.listener.work?.(work);
  }

  /** Operations that one submission may hold: as many as were set, or with null as the measured rate allows. */
  get budget(): number {
    return this.#budget ?? this.#pace.budget;
  }

  set budget(operations: number | null) {
    this.#budget = operations;
  }

  /** The part of a step that is being recorded, such as "backward": a profile names it. */
  get phase(): string {
    return this.#phase;
  }

  set phase(name: string) {
    this.#phase = name;
    this.listener.phase?.(name);
  }

  /** Records a dispatch; `uniforms` is the slot of what it takes, null where it takes none. */
  dispatch(
    label: string,
    pipeline: GPUComputePipeline,
    group: GPUBindGroup,
    uniforms: number | null,
    groups: GroupCounts,
  ): void {
    this.#encoder ??= this.gpu.createCommandEncoder();
    if (this.profile) this.#endPass();
    this.#pass ??= this.#encoder.beginComputePass({ timestampWrites: this.profile?.writes(label) });
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, group, uniforms === null ? [] : [uniforms]);
    this.#pass.dispatchWorkgroups(...groups);
    this.listener.dispatch?.(label, pipeline, groups);
  }

  flush(): void {
    if (!this.#encoder) return;
    this.#endPass();
    this.profile?.resolve(this.#encoder);
    if (this.#slots) this.gpu.queue.writeBuffer(this.#uniforms, 0, this.words.bytes, 0, SLOT * this.#slots);
    this.gpu.queue.submit([this.#encoder.finish()]);
    this.submissions++;
    this.#encoder = null;
    this.#slots = 0;
    this.#pace.submitted(this.#work);
    this.#work = 0;
  }

  /** The bytes of a buffer, after all that was recorded before. Throws what the device reported meanwhile. */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    const size = Math.ceil(bytes / 4) * 4;
    const staging = this.gpu.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    this.copy(buffer, offset, staging, 0, size);
    this.flush();
    try {
      await this.wait(staging.mapAsync(GPUMapMode.READ));
    } catch (cause) {
      await Promise.resolve(); // the loss of the device may be reported a moment later
      throw (
        this.#error ??
        new GpuError("internal", `read: ${cause instanceof Error ? cause.message : String(cause)}`)
      );
    }
    this.#pace.done();
    const data = staging.getMappedRange().slice(0, bytes);
    staging.destroy();
    this.check();
    return data;
  }

  /** Waits for what the GPU will do, in the way that was chosen. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return this.#wait === "nap" ? napping(promise) : promise;
  }

  /** Throws the first error the device has reported since the last time. */
  check(): void {
    const error = this.#error;
    if (error?.kind !== "lost") this.#error = null;
    if (error) throw error;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
  }

  #fail(kind: GpuErrorKind, message: string): void {
    const memory = ` (${bytesText(this.bytes)} in use, ${bytesText(this.peakBytes)} at most)`;
    this.#error ??= new GpuError(kind, located(message) + (kind === "out-of-memory" ? memory : ""));
  }
}
