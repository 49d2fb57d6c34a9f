// What stands between gradients and an optimizer's step, all on the GPU, so that nothing waits to know: a step whose
// gradients are not all finite is left out, one whose norm is too large is clipped, and in half precision, where
// gradients vanish below 6e-8 and overflow beyond 65504, backward begins with a large number in place of 1.

import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { free, keep, Tensor, tensor } from "../autograd/tensor.ts";
import type { Device } from "../gpu/device.ts";

const kernel = await shader("gradientGuard");
const { CHUNK } = kernel.constants;

const FIRST = 65536; // as torch.amp.GradScaler, like the patience
const PATIENCE = 2000; // steps without overflow, after which it doubles

export interface GuardOptions {
  /** The largest norm of all gradients together, as torch.nn.utils.clip_grad_norm_; 0 for any. */
  clip?: number;
  /** Whether backward begins with a number that adapts itself to the range of half precision; else with 1. */
  scaled?: boolean;
}

export class GradientGuard {
  /**
   * [6]: the scale with which the next backward begins; of the last step the factor of its gradients, 1 if they were
   * finite or else 0, and their norm before it was clipped; steps since the scale changed; steps left out.
   */
  readonly state: Tensor;
  /** The scale alone: the seed of grad(). */
  readonly seed: Tensor;
  readonly #clip: number;
  readonly #patience: number;

  /** Throws where `clip` is negative or no number. */
  constructor(device: Device, { clip = 0, scaled = false }: GuardOptions = {}) {
    if (!(clip >= 0)) throw new Error(`GradientGuard: expected a norm from 0 to clip at, got ${clip}`);
    this.#clip = clip;
    this.#patience = scaled ? PATIENCE : 0;
    const scale = scaled ? FIRST : 1;
    this.state = keep(tensor(device, [6], [scale, 1, 1, 0, 0, 0]));
    this.seed = keep(tensor(device, [], [scale]));
  }

  /** Where in `state` the last step's norm is, and whether it was finite, for those that read them with its losses. */
  get verdict() {
    const { buffer, storage } = this.state;
    const at = (index: number) => ({ buffer, storage: { offset: storage.offset + 4 * index } });
    return { scale: at(0), finite: at(2), norm: at(3) };
  }

  /** Judges all gradients of a step, before the optimizer takes it. */
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

  /** Goes on with what `state` held. */
  restore(state: ArrayLike<number>): void {
    this.state.write(state);
    this.seed.write([state[0]!]);
  }

  free(): void {
    free(this.state);
    free(this.seed);
  }
}
