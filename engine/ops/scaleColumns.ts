import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("scaleColumns");

/** Each column of x [N,K] times its factor: scale [K] → [N,K]. Differentiated by both. */
export function scaleColumns(x: Tensor, scale: Tensor): Tensor {
  if (x.shape.length !== 2 || x.size === 0 || `${scale.shape}` !== `${x.shape[1]}`)
    throw new Error(`scaleColumns: expected x [N,K] and scale [K], got [${x.shape}] and [${scale.shape}]`);
  const scaled = (from: Tensor) => {
    const y = new Tensor(x.device, x.shape);
    kernel.forward({ x: from, scale, y }, y.size);
    return y;
  };
  const backwardScale = (dy: Tensor) => {
    const dscale = new Tensor(x.device, scale.shape);
    kernel.backwardScale({ x, dy, dscale }, { invocations: scale.size, work: 2 * x.size });
    return dscale;
  };
  return record(
    scaled(x),
    [
      [x, scaled],
      [scale, backwardScale],
    ],
    [x, scale],
  );
}
