// Checksums of checkpoints: whatever bit of a file flips, and wherever it is cut, it is not believed; and then the one
// before it is taken.

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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
import type { ModelCard } from "../../cli/files/models.ts";

const test = suite<{ folder: string }>("seal");
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "seal-"));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

const NOTES = cardMetadata({ stage: "teacher", epoch: 1, step: 2, seed: 0 } as ModelCard);

function state(epoch: number): TrainingState {
  const values = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
  return {
    network: { weight: values(epoch, -0, 1e-40) },
    optimizer: { "mean.weight": values(1, 2, 3), guard: values(1, 1, 1, NaN, 0, 0) },
    position: { ...beginning(), epoch, sums: { total: 0.1 + 0.2, prototype: 1e-17 } },
    data: { taken: 7 },
  };
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
    "optimizer.mean.weight",
    "optimizer.guard",
  ]);
  assert.ok(Buffer.from(bytes).equals(Buffer.from(await encodeTraining(state(3), { format: "x" }))));
});

test("every bit that flips, and every end that is missing, is noticed", async () => {
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

test("a file without a checksum has none to be wrong, and is no state", async () => {
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

test("the one before is kept, and taken where the latest is damaged, cut short, empty or gone", async ({
  folder,
}) => {
  const [latest, previous] = [join(folder, FILES.latest), join(folder, FILES.previous)];
  const said: string[] = [];
  const read = () => readState(folder, (line) => said.push(line));
  await saveState(folder, state(1), NOTES);
  assert.is((await read()).position.epoch, 1);
  await saveState(folder, state(2), NOTES);
  assert.is((await read()).position.epoch, 2);
  assert.equal(said, []);
  const whole = readFileSync(latest);
  const flipped = Buffer.from(whole);
  flipped[whole.length - 3]! ^= 1;
  for (const damaged of [flipped, whole.subarray(0, 100), Buffer.alloc(0), null]) {
    await saveState(folder, state(1), NOTES);
    await saveState(folder, state(2), NOTES);
    if (damaged) writeFileSync(latest, damaged);
    else rmSync(latest);
    assert.is((await read()).position.epoch, 1);
    assert.match(
      said.pop()!,
      /checkpoint_latest.*(damaged|usable|missing).*: going on from checkpoint_previous/,
    );
    if (damaged) assert.ok(readFileSync(join(folder, SOMETIMES.damaged)).equals(damaged), "it is put aside");
    await saveState(folder, state(3), NOTES); // which must not make the damaged one the previous one
    assert.is((await decodeTraining(readFileSync(previous), previous)).position.epoch, 1);
  }
  for (const path of [latest, previous]) writeFileSync(path, flipped);
  const message = await refused(read);
  assert.match(
    message,
    /checkpoint_latest.*: damaged: .*\n.*checkpoint_previous.*: damaged: .*\nnothing is left/,
  );
});

test("a checkpoint keeps the permissions of the one that it replaces", async ({ folder }) => {
  const latest = join(folder, FILES.latest);
  await saveState(folder, state(1), NOTES);
  chmodSync(latest, 0o640);
  await saveState(folder, state(2), NOTES);
  assert.is(statSync(latest).mode & 0o777, 0o640);
});

test.run();
