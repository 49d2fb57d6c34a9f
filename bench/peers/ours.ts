// Our own engine, in the same interface as the others.

import {
  Adam,
  conv3d,
  crossEntropy,
  type Device,
  fill,
  free,
  grad,
  instanceNorm,
  scope,
  type Tensor,
  tensor,
  vjp,
} from "../../engine/index.ts";
import { Params, type Values } from "../../model/networks/params.ts";
import { vnet } from "../../model/networks/vnet.ts";
import type { ConvolutionTask, Engine, NormTask, Prepared, StepTask } from "./engine.ts";

/** Our engine on a device. */
export function ours(device: Device, version: string): Engine {
  return {
    name: "ours",
    version,
    device: device.gpu,
    prepare: (task) => {
      if (task.op === "conv3d") return convolution(device, task);
      return task.op === "instanceNorm" ? norm(device, task) : step(device, task);
    },
  };
}

const TRAIN = { mode: "train" } as const;

type Record = (begin: () => void) => readonly Tensor[];

function convolution(device: Device, { pass, x, weight, dy }: ConvolutionTask): Prepared {
  const inputs = put(device, [x, weight, dy]);
  const [data, kernel, cotangent] = inputs as [Tensor, Tensor, Tensor];
  if (pass === "forward")
    return prepared(
      device,
      inputs,
      begun(() => [conv3d(data, kernel)]),
    );
  const by = pass === "data gradient" ? data : kernel;
  return prepared(device, inputs, (begin) =>
    pulled(device, [by], () => conv3d(data, kernel), cotangent, begin),
  );
}

function norm(device: Device, { pass, x, weight, bias, dy }: NormTask): Prepared {
  const inputs = put(device, [x, weight, bias, dy]);
  const [data, scale, shift, cotangent] = inputs as [Tensor, Tensor, Tensor, Tensor];
  const forward = () => instanceNorm(data, scale, shift);
  if (pass === "forward")
    return prepared(
      device,
      inputs,
      begun(() => [forward()]),
    );
  return prepared(
    device,
    inputs,
    begun(() => {
      const { output, grads } = vjp([data, scale, shift], forward, cotangent);
      return [output, ...grads];
    }),
  );
}

function step(device: Device, { config, params: values, x, label, rate }: StepTask): Prepared {
  const inputs = put(device, [x, label]);
  const [image, target] = inputs as [Tensor, Tensor];
  const weight = fill(device, [config.classes], 1);
  const params = new Params(device, { values });
  scope(() => void vnet.forward(params, image, config, TRAIN)); // makes the parameters
  const optimizer = new Adam(params.trained, { decay: 0 });
  const record = (begin: () => void) => {
    begin();
    const { loss, grads } = grad(params.trained, () =>
      crossEntropy(vnet.forward(params, image, config, TRAIN).logits, target, weight),
    );
    optimizer.step(grads, rate);
    grads.forEach(free);
    return [loss];
  };
  const { run, finish } = prepared(device, [...inputs, weight], record);
  return {
    run,
    finish: () => {
      optimizer.free();
      params.free();
      finish();
    },
  };
}

function put(device: Device, values: readonly Values[]): Tensor[] {
  return values.map(({ shape, data }) => tensor(device, shape, data));
}

function begun(forward: () => readonly Tensor[]): Record {
  return (begin) => {
    begin();
    return forward();
  };
}

/** The gradients of <forward(), dy>. Calls `begin` after it has submitted the forward pass. */
function pulled(
  device: Device,
  by: readonly Tensor[],
  forward: () => Tensor,
  dy: Tensor,
  begin: () => void,
): readonly Tensor[] {
  const { output, grads } = vjp(
    by,
    () => {
      const y = forward();
      device.flush();
      begin();
      return y;
    },
    dy,
  );
  free(output);
  return grads;
}

function prepared(device: Device, inputs: readonly Tensor[], record: Record): Prepared {
  return {
    run: (begin) => {
      const made = record(begin);
      device.flush();
      return {
        read: async () => {
          const results: Float32Array[] = [];
          for (const t of made) results.push(await t.read());
          return results;
        },
        free: () => made.forEach(free),
      };
    },
    finish: () => {
      inputs.forEach(free);
      device.trim();
    },
  };
}
