// Functions of each element by itself: one row of shaders/activations.wgsl each.

import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("activations");
const { RELU, LEAKY_RELU, SIGMOID, TANH, GELU } = kernel.constants;

/** x where positive, 0 elsewhere; its derivative at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return apply(x, "y", { activation: RELU });
}

/** x where positive, slope·x elsewhere. Throws unless `slope` is positive: then y has the sign of x. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  if (!(slope > 0)) throw new Error(`leakyRelu: the slope must be positive, got ${slope}`);
  return apply(x, "y", { activation: LEAKY_RELU, slope });
}

/**
 * g times the derivative of leakyRelu() at a: g where a is positive, slope·g elsewhere. Differentiated by g
 * alone, since the derivative does not change near a. Throws where the shapes differ.
 */
export function leakyReluSlope(g: Tensor, a: Tensor, slope = 0.01): Tensor {
  if (`${g.shape}` !== `${a.shape}`)
    throw new Error(`leakyReluSlope: shapes differ, [${g.shape}] and [${a.shape}]`);
  const sloped = (dy: Tensor) => {
    const dx = new Tensor(g.device, g.shape, g.precision);
    kernel.backward({ activation: LEAKY_RELU, slope, kept: a, dy, dx }, dx.size);
    return dx;
  };
  return record(sloped(g), [[g, sloped]], [a]);
}

/** 1 / (1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return apply(x, "y", { activation: SIGMOID });
}

/** The hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return apply(x, "y", { activation: TANH });
}

/** x · Φ(x), with Φ the standard normal distribution function: the exact form, PyTorch's default. */
export function gelu(x: Tensor): Tensor {
  return apply(x, "x", { activation: GELU });
}

/** An activation of x, whose gradient is computed from `kept`: its x or its y. */
function apply(x: Tensor, keeps: "x" | "y", row: { activation: number; slope?: number }): Tensor {
  const y = new Tensor(x.device, x.shape, x.precision);
  kernel.forward({ ...row, x, y }, y.size);
  const kept = keeps === "x" ? x : y;
  const backward = (dy: Tensor) => {
    const dx = new Tensor(x.device, x.shape, x.precision);
    kernel.backward({ ...row, kept, dy, dx }, dx.size);
    return dx;
  };
  return record(y, [[x, backward]], [kept]);
}
