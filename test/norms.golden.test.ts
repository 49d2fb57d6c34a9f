import { test } from "uvu";
import { batchNorm, batchNormEval } from "../engine/ops/batchNorm.ts";
import { instanceNorm } from "../engine/ops/instanceNorm.ts";
import { leakyRelu } from "../engine/ops/leakyRelu.ts";
import { logSoftmax } from "../engine/ops/logSoftmax.ts";
import { relu } from "../engine/ops/relu.ts";
import { softmax } from "../engine/ops/softmax.ts";
import type { Tensor } from "../engine/tensor.ts";
import { goldenTest } from "./golden.ts";
import { close, TOLERANCE } from "./gradcheck.ts";

type Tensors = Record<string, Tensor>;

const instance = ({ x, weight, bias }: Tensors, { eps }: Record<string, unknown>) =>
  instanceNorm(x!, weight!, bias!, Number(eps));
const running = (t: Tensors) => ({ mean: t.running_mean!, variance: t.running_var! });

goldenTest(test, "instance_norm", instance);
goldenTest(test, "instance_norm_offset", instance);
goldenTest(test, "batch_norm_eval", (t) => batchNormEval(t.x!, t.weight!, t.bias!, running(t)));
goldenTest(
  test,
  "batch_norm_train",
  (t) => batchNorm(t.x!, t.weight!, t.bias!, running(t)),
  async (t, { more }) => {
    close(await t.running_mean!.read(), more.running_mean_after!.data, TOLERANCE, "running mean");
    close(await t.running_var!.read(), more.running_var_after!.data, TOLERANCE, "running variance");
  },
);
goldenTest(test, "relu", ({ x }) => relu(x!));
goldenTest(test, "leaky_relu", ({ x }) => leakyRelu(x!, 0.01));
goldenTest(test, "softmax_channels", ({ x }) => softmax(x!));
goldenTest(test, "softmax_large_logits", ({ x }) => softmax(x!));
goldenTest(test, "log_softmax_channels", ({ x }) => logSoftmax(x!));

test.run();
