// node test/golden/trim.js DIR OUT [CASE ...]: makes a folder of golden values small enough to be committed.
// Names keep only those cases. Inputs and weights stay whole; a network keeps every seventh of the values to
// compare.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import { NETWORK, OPERATIONS } from "./folder.ts";

type Change = (name: string, tensor: StoredTensor) => StoredTensor | null;

const EVERY = 7;
const [source, target, ...names] = process.argv.slice(2);
if (!source || !target) {
  console.error("usage: node test/golden/trim.js DIR OUT [CASE ...]");
  process.exit(2);
}
mkdirSync(target, { recursive: true });
if (names.length) {
  const cases = JSON.parse(readFileSync(join(source, "cases.json"), "utf8")) as Record<string, unknown>;
  const unknown = names.filter((name) => !(name in cases));
  if (unknown.length) throw new Error(`trim: ${source} has no case ${unknown.join(", ")}`);
  const chosen = Object.fromEntries(names.map((name) => [name, cases[name]]));
  writeFileSync(join(target, "cases.json"), `${JSON.stringify(chosen, null, 1)}\n`);
  const own: Change = (name, tensor) => (names.includes(name.split(".")[0]!) ? tensor : null);
  for (const file of OPERATIONS) rewrite(file, own);
} else {
  for (const file of ["cases.json", ...OPERATIONS]) {
    if (existsSync(join(source, file))) copyFileSync(join(source, file), join(target, file));
  }
}
if (names.length === 0 || names.includes("vnet")) {
  const compared = /^\w+\.(grad\.|student_features|student_logits|teacher_logits)/;
  rewrite(
    NETWORK,
    (name, tensor) => {
      if (!compared.test(name)) return tensor;
      const data = (tensor.data as Float32Array).filter((_, i) => i % EVERY === 0);
      return { shape: [data.length], data };
    },
    { every: String(EVERY) },
  );
}

/** Copies a file of the source, if it is there, with its tensors changed; null drops a tensor. */
function rewrite(file: string, change: Change, added: Record<string, string> = {}): void {
  const path = join(source!, file);
  if (!existsSync(path)) return;
  const { tensors, metadata } = decodeSafetensors(readFileSync(path), path);
  const changed = Object.entries(tensors).flatMap(([name, tensor]): [string, StoredTensor][] => {
    const made = change(name, tensor);
    return made ? [[name, made]] : [];
  });
  const bytes = encodeSafetensors(Object.fromEntries(changed), { ...metadata, ...added });
  writeFileSync(join(target!, file), bytes);
}
