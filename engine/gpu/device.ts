// A GPU device: one command encoder, one pool of buffers, one buffer for the uniforms of a submission.
//
// Everything here is synchronous except open() and read(). Commands are recorded, and flush() submits them
// together. WebGPU runs the dispatches of a queue in order, so a buffer may be recycled and handed out again
// within a submission.

import { Bindings, type Plan } from "./bindings.ts";
import { hollow } from "./counting.ts";
import { bytesText, GpuError, type GpuErrorKind, kindOf, located } from "./errors.ts";
import type { GroupCounts } from "./grid.ts";
import { type Lanes, lanesOf } from "./lanes.ts";
import { type Limits, requested } from "./limits.ts";
import type { Listener } from "./listener.ts";
import { napping, Pace } from "./pace.ts";
import { Pool } from "./pool.ts";
import type { Profile } from "./profile.ts";
import { Words } from "./words.ts";

const SLOT = 256; // bytes of uniforms for a dispatch: WebGPU's least minUniformBufferOffsetAlignment
const SLOTS = 1024; // dispatches per submission

export interface DeviceOptions {
  limits?: Limits;
  /**
   * How read() waits. Dawn's Node binding polls in a busy loop while anything is awaited, which takes a core
   * from a software adapter and halves its speed: "nap" puts the thread to sleep between two looks.
   */
  wait?: "poll" | "nap";
  /** The most bytes of a tensor, where the adapter would allow more. */
  largest?: number;
  /** The most workgroups along a dimension of a dispatch, where the adapter would allow more. */
  widest?: number;
}

export class Device {
  /** Called with every device that is opened. */
  static readonly opened = new Set<(device: Device) => void>();

  readonly gpu: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly pipelines = new Map<string, GPUComputePipeline>();
  /** The most workgroups along a dimension of a dispatch. */
  readonly widest: number;
  /** The most bytes of a tensor, which has to fit a binding and a buffer. */
  readonly largest: number;
  /** The invocations of a subgroup. */
  readonly lanes: Lanes;
  /** The kernels chosen for this adapter, or null: see tuningOf() of convolution/tuning.ts. */
  tuning: object | null = null;
  /** Bytes that tensors use now, and the most that they ever used. */
  bytes = 0;
  peakBytes = 0;
  /** Bytes of GPU memory: of the buffers in use and of those that wait in the pool. */
  pooledBytes = 0;
  /** Calls of kernels so far (a call that is cut into several dispatches counts once), and submissions. */
  dispatches = 0;
  submissions = 0;
  /** A Profile times every dispatch, each in a pass of its own. */
  profile: Profile | null = null;
  listener: Listener = {};
  /** The pipelines noted so far while plan() runs: nothing is dispatched or copied then. */
  plan: Plan | null = null;
  /** The uniforms of the submission being recorded. */
  readonly words = new Words(SLOT * SLOTS);
  readonly bindings: Bindings;

  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  readonly #pool = new Pool();
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
      event.preventDefault(); // it will be thrown: no need to print it too
      this.#fail(kindOf(event.error), event.error.message);
    });
    void gpu.lost.then(({ reason, message }) => this.#fail("lost", `the GPU was lost: ${message || reason}`));
  }

  /** Opens a device of `navigator.gpu`, or of Dawn's in Node. Throws where there is no adapter. */
  static async open(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter)
      throw new Error("no WebGPU adapter: is a Vulkan driver installed? (Debian: mesa-vulkan-drivers)");
    const gpuDevice = await adapter.requestDevice(requested(adapter, options.limits ?? "adapter"));
    const device = new Device(adapter, gpuDevice, options);
    for (const listener of Device.opened) listener(device);
    return device;
  }

  /**
   * A device like this one that counts calls and bytes, but computes nothing and takes no memory. It may have
   * larger bindings than the adapter, as a device of other hardware has.
   */
  counting(largest = this.largest): Device {
    const counting = new Device(this.adapter, hollow(this.gpu), { widest: this.widest });
    (counting as { largest: number }).largest = largest;
    counting.tuning = this.tuning;
    return counting;
  }

  /** A buffer of so many bytes or a few more, with any content. Throws a GpuError beyond `largest`. */
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
    const buffer = this.#pool.take(size) ?? this.#create(size);
    this.listener.buffer?.(buffer);
    return buffer;
  }

  #create(size: number): GPUBuffer {
    this.pooledBytes += size;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.gpu.createBuffer({ size, usage });
  }

  /** Takes a buffer back into the pool. */
  recycle(buffer: GPUBuffer): void {
    this.bytes -= buffer.size;
    this.#pool.give(buffer);
  }

  /** Destroys the buffers that wait in the pool: for when other shapes will be needed. */
  trim(): void {
    this.flush();
    this.#pool.destroy();
    this.pooledBytes = this.bytes;
    this.bindings.clear();
  }

  /** Writes to a buffer, after the commands recorded so far: writeBuffer() would overtake them. */
  write(buffer: GPUBuffer, offset: number, data: Float32Array<ArrayBuffer>): void {
    this.flush();
    this.gpu.queue.writeBuffer(buffer, offset, data);
  }

  /** Records a copy of whole words; offsets and size in bytes. */
  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    if (this.plan) return;
    this.#endPass();
    this.#encoder ??= this.gpu.createCommandEncoder();
    this.#encoder.copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  /** The byte of `words` where to write the uniforms of the next dispatch, before the next flush(). */
  slot(): number {
    return SLOT * this.#slots++;
  }

  /** Makes room for a dispatch of so many operations: call it before slot() and dispatch(). */
  reserve(work: number): void {
    if (this.#slots === SLOTS || (this.#work > 0 && this.#work + work > this.budget)) this.flush();
    this.#work += work;
    this.listener.work?.(work);
  }

  /** Operations that a submission may hold: those set, or with null as many as the measured rate allows. */
  get budget(): number {
    return this.#budget ?? this.#pace.budget;
  }

  set budget(operations: number | null) {
    this.#budget = operations;
  }

  /** The part of a step that is being recorded, such as "backward", for profiles. */
  get phase(): string {
    return this.#phase;
  }

  set phase(name: string) {
    this.#phase = name;
    this.listener.phase?.(name);
  }

  /** Records a dispatch. `uniforms` is the slot of its uniforms, null where it has none. */
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

  /** Submits the commands recorded so far. */
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

  /** Reads bytes of a buffer, after the commands recorded so far. Throws what the device reported. */
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

  /** Waits for the GPU as DeviceOptions.wait says. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return this.#wait === "nap" ? napping(promise) : promise;
  }

  /** Throws the first error that the device reported since the last check. A lost device always throws. */
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
