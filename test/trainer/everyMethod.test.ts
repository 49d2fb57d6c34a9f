// Every method, with each value of its options, both norms, both precisions, with and without deep
// supervision, at the default sizes: each plans a step on a device that only counts, so that no combination
// of settings fails in training.

import { test } from "uvu";
import * as assert from "uvu/assert";
import * as v from "valibot";
import { openDevice } from "../../cli/device/gpu.ts";
import { MODALITIES } from "../../data/datasets/source.ts";
import { METHODS, methodOf, type NetworkSpec, PLAIN, PRETRAININGS } from "../../model/methods/index.ts";
import { VNET, vnet } from "../../model/networks/vnet.ts";
import type { SettingRows } from "../../model/settings/rows.ts";
import { DEFAULTS, networkSpec, type TrainConfig } from "../../trainer/settings/config.ts";
import { footprintOn } from "../../trainer/stages/memory.ts";

const device = await openDevice();
const LARGEST = 2 ** 31 - 4; // the bindings of a large GPU: nothing is bound here
const HALF = device.gpu.features.has("shader-f16");
if (!HALF) console.log("SKIPPED: methods in half precision: this adapter has no shader-f16");

/** Settings that differ from a method's defaults in one option each: off, and another value of its kind. */
function* variants(rows: SettingRows): Generator<Partial<TrainConfig>> {
  yield {};
  const off: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(rows)) {
    const others = row.choices ?? (row.argument === null ? [true, false] : [0, 1]);
    for (const value of others) {
      if (value === row.default || !isValid(row, value)) continue;
      yield { [name]: value };
      if (value === 0) off[name] = 0;
    }
  }
  if (Object.keys(off).length > 1) yield off;
}

function isValid(row: SettingRows[string], value: unknown): boolean {
  return v.is(row.schema, value);
}

/** The network of an earlier stage, with the channels that its name says. */
function specOf(stage: string, config: TrainConfig): NetworkSpec {
  const modality = stage === "teacher" ? null : stage.slice("student_".length);
  return networkSpec({ ...config, stage: modality ? "student" : "teacher", method: PLAIN, modality });
}

for (const name of Object.keys({ ...METHODS, ...PRETRAININGS })) {
  test(`${name}: each option x norm x precision x deep supervision plans a step at the default sizes`, () => {
    const method = methodOf(name);
    let planned = 0;
    for (const options of variants(method.settings))
      for (const norm of ["instance", "batch"] as const)
        for (const precision of HALF ? (["f32", "f16"] as const) : (["f32"] as const))
          for (const deepSupervision of [false, true]) {
            const config = {
              ...DEFAULTS,
              ...method.defaults,
              ...options,
              stage: name in PRETRAININGS ? "pretrain" : "student",
              method: name,
              modality: method.eachContrast ? "each" : "t1ce",
              norm,
              precision,
              deepSupervision,
            } as TrainConfig;
            const { peakBytes } = footprintOn(device.counting(LARGEST), {
              config,
              modalities: MODALITIES,
              frozen: (stage) => ({ spec: specOf(stage, config) }),
            });
            const voxels = config.batch * config.patch.reduce((a, b) => a * b, 1);
            assert.ok(peakBytes > 4 * voxels, `${JSON.stringify(options)}: ${peakBytes} bytes`);
            planned++;
          }
    assert.ok(planned >= (HALF ? 8 : 4), `${planned} planned`);
    console.log(`  ${name}: ${planned} trainings planned`);
  });
}

test("terms of weight 0 take no memory: with all weights 0 a method takes what plain supervision takes", () => {
  const taken = (settings: Partial<TrainConfig>) => {
    const config = { ...DEFAULTS, stage: "student", modality: "t1ce", ...settings } as TrainConfig;
    const frozen = (stage: string) => ({ spec: specOf(stage, config) });
    return footprintOn(device.counting(LARGEST), { config, modalities: MODALITIES, frozen }).peakBytes;
  };
  const off = { kdWeight: 0, prototypeWeight: 0 };
  assert.ok(taken({ method: "protokd", ...off }) < taken({ method: "protokd" }));
  assert.ok(taken({ method: "protokd", prototypeWeight: 0 }) < taken({ method: "protokd" }));
  const teacher = taken({ method: "protokd", ...off }) - taken({ method: PLAIN });
  const shapes = [...vnet.tensors({ ...VNET, modalities: 4 }).values()];
  const parameters = shapes.reduce((sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  assert.ok(
    teacher >= parameters && teacher < 1.01 * parameters,
    `${teacher}, its parameters are ${parameters}`,
  );
});

test.run();
