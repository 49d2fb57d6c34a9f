// Checksums of checkpoints: a file with any bit flipped, or cut short anywhere, is refused, and the
// checkpoint before it is resumed instead.

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readState, saveState } from "../../cli/files/checkpoints.ts";
import { FILES, SOMETIMES } from "../../cli/files/stageFolder.ts";
import { cardMetadata } from "../../model/files/card.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { beginning } from "../../trainer/loop/position.ts";
import { checkSeal, encodeSealed } from "../../model/files/seal.ts";
import { decodeTraining, encodeTraining, type TrainingState } from "../../trainer/loop/state.ts";
import type { ModelCard } from "../../trainer/stages/stage.ts";

const test = suite<{ folder: string }>("seal");
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "seal-"));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

const NOTES = cardMetadata({ stage: "teacher", epoch: 1, step: 2, seed: 0 } as ModelCard);

function state(epoch: number): TrainingState {
  const values = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
  return {
    tensors: {
      weight: values(epoch, -0, 1e-40),
      "optimizer.main/mean.weight": values(1, 2, 3),
      "optimizer.main/guard": values(1, 1, 1, NaN, 0, 0),
    },
    position: {
      ...beginning(),
      epoch,
      sums: { total: 0.1 + 0.2, prototype: 1e-17 },
      updates: { main: 5 },
    },
    data: { paired: { taken: 7 } },
  };
}

/** Makes a state of this epoch the latest of the folder. */
async function save(folder: string, epoch: number): Promise<void> {
  await saveState(folder, await encodeTraining(state(epoch), NOTES));
}

async function refused(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    assert.is((error as Error).name, "CheckpointError");
    return (error as Error).message;
  }
  return assert.unreachable("expected a CheckpointError") as never;
}

test("a state comes back as it was, and any reader opens its file", async () => {
  const bytes = await encodeTraining(state(3), { format: "x" });
  const { metadata, ...found } = await decodeTraining(bytes, "file");
  const bits = (value: TrainingState) =>
    JSON.stringify(value, (_, item: unknown) =>
      item instanceof Float32Array ? [...new Uint32Array(item.slice().buffer)] : item,
    );
  assert.is(bits(found), bits(state(3)), "zeros' signs, tiny numbers and NaN too");
  assert.match(metadata["sha256"]!, /^[0-9a-f]{64}$/);
  assert.is(metadata["format"], "x");
  assert.equal(Object.keys(decodeSafetensors(bytes, "file").tensors), [
    "weight",
    "optimizer.main/mean.weight",
    "optimizer.main/guard",
  ]);
  assert.ok(Buffer.from(bytes).equals(Buffer.from(await encodeTraining(state(3), { format: "x" }))));
});

test("every flipped bit and every missing end is noticed", async () => {
  const bytes = await encodeTraining(state(3), {});
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const damaged = Uint8Array.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    await refused(() => decodeTraining(damaged, `bit ${bit}`));
  }
  for (let length = 0; length < bytes.length; length++) {
    await refused(() => decodeTraining(bytes.slice(0, length), `length ${length}`));
  }
  await decodeTraining(bytes, "whole");
});

test("a file without a checksum is refused as a state, but not as damaged", async () => {
  const bytes = await encodeSealed({}, { a: "b" });
  assert.is(await checkSeal(bytes, "file"), true);
  const text = new TextDecoder().decode(bytes).replace("sha256", "sha257");
  const other = new TextEncoder().encode(text);
  assert.is(await checkSeal(other, "file"), false);
  assert.match(
    await refused(() => decodeTraining(other, "a.safetensors")),
    /^a.safetensors: has no checksum/,
  );
  assert.match(
    await refused(() => decodeTraining(bytes, "b.safetensors")),
    /^b.safetensors: expected the state/,
  );
});

test("the state before the latest is kept, and resumed where the latest is damaged, cut short, empty or missing", async ({
  folder,
}) => {
  const [latest, previous] = [join(folder, FILES.latest), join(folder, FILES.previous)];
  const reported: string[] = [];
  const read = () => readState(folder, (line) => reported.push(line));
  await save(folder, 1);
  assert.is((await read()).position.epoch, 1);
  await save(folder, 2);
  assert.is((await read()).position.epoch, 2);
  assert.equal(reported, []);
  const whole = readFileSync(latest);
  const flipped = Buffer.from(whole);
  flipped[whole.length - 3]! ^= 1;
  for (const damaged of [flipped, whole.subarray(0, 100), Buffer.alloc(0), null]) {
    await save(folder, 1);
    await save(folder, 2);
    if (damaged) writeFileSync(latest, damaged);
    else rmSync(latest);
    assert.is((await read()).position.epoch, 1);
    assert.match(
      reported.pop()!,
      /checkpoint_latest.*(damaged|usable|missing).*: resuming checkpoint_previous\.safetensors instead/,
    );
    if (damaged) assert.ok(readFileSync(join(folder, SOMETIMES.damaged)).equals(damaged), "it is put aside");
    await save(folder, 3); // must not make the damaged one the previous one
    assert.is((await decodeTraining(readFileSync(previous), previous)).position.epoch, 1);
  }
  for (const path of [latest, previous]) writeFileSync(path, flipped);
  const message = await refused(read);
  assert.match(
    message,
    /checkpoint_latest.*: damaged: .*\n.*checkpoint_previous.*: damaged: .*\nno state is left to resume/,
  );
});

test("a state of an older version is refused and stays as it is, with the one before it", async ({
  folder,
}) => {
  const latest = join(folder, FILES.latest);
  await save(folder, 1);
  const old = { training: JSON.stringify(beginning()), sampler: "{}" };
  const bytes = await encodeSealed({}, old);
  await saveState(folder, bytes);
  const why = /^.*checkpoint_latest.*: a training state of an older version, .* another folder \(--out\)$/;
  assert.match(await refused(() => readState(folder, assert.unreachable)), why);
  assert.ok(readFileSync(latest).equals(bytes));
  const previous = join(folder, FILES.previous);
  assert.is((await decodeTraining(readFileSync(previous), previous)).position.epoch, 1);
  assert.not(existsSync(join(folder, SOMETIMES.damaged)));
});

test("a checkpoint keeps the permissions of the one that it replaces", async ({ folder }) => {
  const latest = join(folder, FILES.latest);
  await save(folder, 1);
  chmodSync(latest, 0o640);
  await save(folder, 2);
  assert.is(statSync(latest).mode & 0o777, 0o640);
});

test.run();
