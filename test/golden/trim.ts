// node test/golden/trim.js DIR OUT: makes of a folder of golden values one that is small enough to be committed.
// Inputs and weights stay whole; of the values that a network is compared with, every seventh is kept.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";

const EVERY = 7;
const [source, target] = process.argv.slice(2);
if (!source || !target) {
  console.error("usage: node test/golden/trim.js DIR OUT");
  process.exit(2);
}
mkdirSync(target, { recursive: true });
copyFileSync(join(source, "ops.safetensors"), join(target, "ops.safetensors"));
copyFileSync(join(source, "cases.json"), join(target, "cases.json"));
const path = join(source, "vnet.safetensors");
const { tensors, metadata } = decodeSafetensors(readFileSync(path), path);
const entries = Object.entries(tensors).map(([name, tensor]): [string, StoredTensor] => {
  const compared = /^\w+\.(grad\.|student_features|student_logits|teacher_logits)/.test(name);
  if (!compared) return [name, tensor];
  const data = (tensor.data as Float32Array).filter((_, i) => i % EVERY === 0);
  return [name, { shape: [data.length], data }];
});
const bytes = encodeSafetensors(Object.fromEntries(entries), { ...metadata, every: String(EVERY) });
writeFileSync(join(target, "vnet.safetensors"), bytes);
