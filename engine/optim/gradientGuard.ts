// Loss scaling, clipping and skipping of non-finite gradients, on the GPU, so that no step waits for a read.
// In half precision gradients vanish below 6e-8 and overflow beyond 65504: there backward starts from a large
// scale, not from 1.

import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { free, keep, Tensor, tensor } from "../autograd/tensor.ts";
import type { Device } from "../gpu/device.ts";

const kernel = await shader("gradientGuard");
const { CHUNK } = kernel.constants;

const FIRST = 65536; // the first scale; like the patience as in torch.amp.GradScaler
const PATIENCE = 2000; // steps without overflow after which the scale doubles

export interface GuardOptions {
  /** The largest norm of all gradients together, as torch.nn.utils.clip_grad_norm_; 0 clips nothing. */
  clip?: number;
  /** True: backward starts from a scale that adapts to the range of half precision; false: from 1. */
  scaled?: boolean;
}

export class GradientGuard {
  /**
   * [6]: the scale of the next backward pass; of the last step the factor of its gradients, 1 if they were
   * finite or else 0, and their norm before clipping; steps since the scale changed; steps skipped so far.
   */
  readonly state: Tensor;
  /** The scale alone, the seed of grad(). */
  readonly seed: Tensor;
  readonly #clip: number;
  readonly #patience: number;

  /** Throws where `clip` is negative or NaN. */
  constructor(device: Device, { clip = 0, scaled = false }: GuardOptions = {}) {
    if (!(clip >= 0)) throw new Error(`GradientGuard: expected a norm of at least 0 to clip at, got ${clip}`);
    this.#clip = clip;
    this.#patience = scaled ? PATIENCE : 0;
    const scale = scaled ? FIRST : 1;
    this.state = keep(tensor(device, [6], [scale, 1, 1, 0, 0, 0]));
    this.seed = keep(tensor(device, [], [scale]));
  }

  /** The places of three numbers of `state`, for reading them together with the losses. */
  get verdict() {
    const { buffer, storage } = this.state;
    const at = (index: number) => ({ buffer, storage: { offset: storage.offset + 4 * index } });
    return { scale: at(0), finite: at(2), norm: at(3) };
  }

  /** Checks all gradients of a step, before the optimizer takes it. */
  check(gradients: readonly Tensor[]): void {
    const { device } = this.state;
    for (const [i, gradient] of gradients.entries()) {
      const chunks = Math.ceil(gradient.size / CHUNK);
      const partial = new Tensor(device, [chunks, 2]);
      const [fresh, last] = [Number(i === 0), Number(i === gradients.length - 1)];
      const params = { fresh, last, clip: this.#clip, patience: this.#patience };
      kernel.check({ gradient, partial }, { groups: spread(chunks, device.widest) });
      kernel.gather({ partial, guard: this.state, ...params }, { groups: [1, 1, 1] });
      free(partial);
    }
    device.copy(this.state.buffer, this.state.storage.offset, this.seed.buffer, this.seed.storage.offset, 4);
  }

  /** Continues from stored values of `state`. */
  restore(state: ArrayLike<number>): void {
    this.state.write(state);
    this.seed.write([state[0]!]);
  }

  free(): void {
    free(this.state);
    free(this.seed);
  }
}
