import { record } from "../tape.ts";
import { Tensor } from "../tensor.ts";
import { samples } from "./samples.ts";

/** The samples of all parts, in order, as one batch: [N₁,...], [N₂,...], … of one size → [N₁+N₂+…,...]. */
export function stack(parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (!first?.shape.length || parts.some(({ shape }) => `${shape.slice(1)}` !== `${first.shape.slice(1)}`)) {
    const got = parts.map(({ shape }) => `[${shape}]`).join(", ") || "nothing";
    throw new Error(`stack: expected parts [N,...] of one size, got ${got}`);
  }
  const ends = [0]; // where each part begins, and the last ends
  for (const { shape } of parts) ends.push(ends.at(-1)! + shape[0]!);
  const y = new Tensor(first.device, [ends.at(-1)!, ...first.shape.slice(1)]);
  const bytes = (4 * first.size) / first.shape[0]!; // of a sample
  for (const [i, { device, buffer, storage, size }] of parts.entries()) {
    device.copy(buffer, storage.offset, y.buffer, y.storage.offset + bytes * ends[i]!, 4 * size);
  }
  return record(
    y,
    parts.map((part, i) => [part, (dy) => samples(dy, ends[i]!, ends[i + 1]!)]),
  );
}
