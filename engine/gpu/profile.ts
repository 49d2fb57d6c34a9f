// Time by kernel, from timestamp queries around every dispatch. `device.profile = new Profile(device)`
// switches it on: each dispatch then has a pass of its own, so use it to compare kernels, not to time steps.

const QUERIES = 4096; // the most that a query set holds; two for each dispatch

/** A dispatch; times in milliseconds of the GPU's own clock. */
export interface ProfiledDispatch {
  kernel: string;
  /** The device's phase when the dispatch was recorded. */
  phase: string;
  begin: number;
  end: number;
}

/** The calls of a kernel and the time of them all. */
export interface ProfileRow {
  kernel: string;
  calls: number;
  milliseconds: number;
}

/** The device that is profiled, as far as a profile needs it. */
interface Profiled {
  readonly gpu: GPUDevice;
  phase: string;
  flush(): void;
}

export class Profile {
  readonly #device: Profiled;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #labels: { kernel: string; phase: string }[] = [];
  #batches: { labels: { kernel: string; phase: string }[]; buffer: GPUBuffer }[] = [];

  constructor(device: Profiled) {
    if (!device.gpu.features.has("timestamp-query")) {
      throw new Error("Profile: this adapter has no timestamp-query; time whole steps instead");
    }
    this.#device = device;
    this.#queries = device.gpu.createQuerySet({ type: "timestamp", count: QUERIES });
    this.#resolved = device.gpu.createBuffer({
      size: 8 * QUERIES,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** The place for the two timestamps of the next pass. */
  writes(kernel: string): GPUComputePassTimestampWrites {
    const first = 2 * this.#labels.push({ kernel, phase: this.#device.phase }) - 2;
    return { querySet: this.#queries, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  }

  /** Copies the timestamps: the device calls it before each submission of at most 1,024 dispatches. */
  resolve(encoder: GPUCommandEncoder): void {
    if (!this.#labels.length) return;
    const bytes = 16 * this.#labels.length;
    const buffer = this.#device.gpu.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    encoder.resolveQuerySet(this.#queries, 0, 2 * this.#labels.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, buffer, 0, bytes);
    this.#batches.push({ labels: this.#labels, buffer });
    this.#labels = [];
  }

  /** All dispatches since the last call, in order. */
  async dispatches(): Promise<ProfiledDispatch[]> {
    this.#device.flush();
    const all: ProfiledDispatch[] = [];
    for (const { labels, buffer } of this.#batches.splice(0)) {
      await buffer.mapAsync(GPUMapMode.READ);
      const times = new BigUint64Array(buffer.getMappedRange());
      for (const [i, label] of labels.entries()) {
        all.push({ ...label, begin: Number(times[2 * i]!) / 1e6, end: Number(times[2 * i + 1]!) / 1e6 });
      }
      buffer.destroy();
    }
    return all;
  }

  /** Milliseconds by kernel since the last call, the longest first. */
  async rows(): Promise<ProfileRow[]> {
    return profileRows(await this.dispatches(), ({ kernel }) => kernel);
  }
}

/** Dispatches summed by `name`, such as their kernel or phase, the longest first. */
export function profileRows(
  dispatches: readonly ProfiledDispatch[],
  name: (dispatch: ProfiledDispatch) => string,
): ProfileRow[] {
  const rows = new Map<string, ProfileRow>();
  for (const dispatch of dispatches) {
    const kernel = name(dispatch);
    const row = rows.get(kernel) ?? { kernel, calls: 0, milliseconds: 0 };
    row.calls++;
    row.milliseconds += dispatch.end - dispatch.begin;
    rows.set(kernel, row);
  }
  return [...rows.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}
