// Loss scaling: gradients of half precision vanish below 6e-8 and overflow beyond 65504, so backward begins with a
// large number in place of 1, and optimizers divide by it. A step whose gradient overflowed is left out, and
// the number halved; all on the GPU, so that nothing waits to know.

import { shader, spread } from "./shader.ts";
import { free, keep, Tensor, tensor } from "./tensor.ts";
import type { Device } from "./device.ts";

const kernel = await shader("lossScale");

const FIRST = 65536; // as torch.amp.GradScaler, like the patience
const PATIENCE = 2000; // steps without overflow, after which it doubles
const CHUNK = 4096; // as in the shader

export class LossScale {
  /** [4]: the scale, steps since it changed, 1 while the step's gradient is finite, steps left out. */
  readonly state: Tensor;
  /** The scale alone, as backward begins with it. */
  readonly seed: Tensor;

  constructor(device: Device) {
    this.state = keep(tensor(device, [4], [FIRST, 0, 1, 0]));
    this.seed = keep(tensor(device, [], [FIRST]));
  }

  /** Looks whether a gradient is finite; of several, all must be. */
  check(gradient: Tensor): void {
    const { device } = gradient;
    const chunks = Math.ceil(gradient.size / CHUNK);
    const flags = new Tensor(device, [chunks]);
    kernel.check({ gradient, flags }, { groups: spread(chunks, device.widest) });
    kernel.gather({ flags, scaling: this.state }, { groups: [1, 1, 1] });
    free(flags);
  }

  /** After the optimizer's step, whether it was left out or not. */
  update(): void {
    const { device } = this.state;
    kernel.update({ scaling: this.state, patience: PATIENCE }, { groups: [1, 1, 1] });
    device.copy(this.state.buffer, this.state.storage.offset, this.seed.buffer, this.seed.storage.offset, 4);
  }

  free(): void {
    free(this.state);
    free(this.seed);
  }
}
