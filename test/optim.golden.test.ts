import { test } from "uvu";
import { Adam, adamW, type Optimizer, Sgd } from "../engine/optim.ts";
import { keep, type Tensor, tensor } from "../engine/tensor.ts";
import { goldenCase } from "./golden.ts";
import { close, device, TOLERANCE } from "./gradcheck.ts";

/** Five steps from PyTorch's start with its gradients; the parameters are cut in two, to test the packing. */
function agrees(name: string, make: (params: Tensor[], options: Record<string, number>) => Optimizer): void {
  const expected = goldenCase(name);
  if (!expected) {
    console.log(`SKIPPED: ${name} agrees with PyTorch: ../shared/golden is missing`);
    return;
  }
  test(`${name} agrees with PyTorch after five steps`, async () => {
    const { start, grads, end } = expected.more as Record<string, { data: Float64Array }>;
    const options = expected.attributes as Record<string, number>;
    const parts = [
      [0, 30],
      [30, 37],
    ] as const;
    const params = parts.map(([from, to]) => keep(tensor(device, [to - from], start!.data.slice(from, to))));
    const optimizer = make(params, options);
    for (let step = 0; step < 5; step++) {
      const g = grads!.data.slice(37 * step, 37 * (step + 1));
      optimizer.step(
        parts.map(([from, to]) => tensor(device, [to - from], g.slice(from, to))),
        options["lr"]!,
      );
    }
    const got = [...(await params[0]!.read()), ...(await params[1]!.read())];
    close(got, end!.data, TOLERANCE, "parameters");
    // The start outweighs the five steps: what the steps did is compared by itself.
    const moved = (values: ArrayLike<number>) => Array.from(values, (v, i) => v - start!.data[i]!);
    close(moved(got), moved(end!.data), 2e-4, "what five steps did"); // differences of float32 values near 1
  });
}

agrees("optim_adamw", (params, { weight_decay }) => adamW(params, { decay: weight_decay! }));
agrees("optim_adam", (params, { weight_decay }) => new Adam(params, { decay: weight_decay! }));
agrees(
  "optim_sgd",
  (params, { weight_decay, momentum }) => new Sgd(params, { decay: weight_decay!, momentum: momentum! }),
);

test.run();
