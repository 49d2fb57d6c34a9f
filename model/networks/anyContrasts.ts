// The input of a network that takes any of its contrasts: the images, 0 where a contrast is absent, then for
// each contrast a plane that is 1 where it is there and 0 where it is absent. Zeros alone would not say it: 0
// is also the mean of a scaled brain.

/** The contrasts of a network in channel order; `any`: it takes any of them; `each`: one at a time. */
export interface Contrasts {
  modalities: readonly string[];
  any?: true | undefined;
  each?: true | undefined;
}

/** The number of channels of a network's input. */
export function channelCount({ modalities, any, each }: Contrasts): number {
  return each ? 1 : modalities.length * (any ? 2 : 1);
}

/**
 * The contrasts that validation shows to a network, of a case that has `there`: its own; for one that takes
 * any of them each alone, and all; for one that sees one at a time each alone.
 */
export function validatedSubsets({ modalities, any, each }: Contrasts, there: readonly string[]): string[][] {
  if (!any && !each) return [[...modalities]];
  const all = modalities.filter((name) => there.includes(name));
  if (each) return all.map((name) => [name]);
  return all.length > 1 ? [...all.map((name) => [name]), all] : [all];
}

/** The names of a network's input channels: its contrasts, then "has t1" for the availability plane of t1. */
export function channelNames({ modalities, any }: Contrasts): string[] {
  return [...modalities, ...(any ? modalities.map((name) => `has ${name}`) : [])];
}

/** An image on the host [channels,D,H,W], its channels by name, with the padding of each. */
export interface NamedImage {
  channels: readonly string[];
  images: Float32Array;
  background?: readonly number[];
  /** The channels that are not there, whose voxels are 0. */
  absent?: readonly string[];
}

/**
 * Returns the input of a network that takes any of `modalities`, from an image that has some of them, with
 * those of `shown`: [2 · modalities,D,H,W]. The availability planes are padded with their own value.
 */
export function anyInput(
  { channels, images, background, absent = [] }: NamedImage,
  modalities: readonly string[],
  shown: readonly string[],
): Required<Omit<NamedImage, "absent">> {
  const voxels = images.length / channels.length;
  const count = modalities.length;
  const whole = new Float32Array(2 * count * voxels);
  const padding = new Array<number>(2 * count).fill(0);
  for (const [i, name] of modalities.entries()) {
    const from = channels.indexOf(name);
    if (from < 0 || absent.includes(name) || !shown.includes(name)) continue;
    whole.set(images.subarray(from * voxels, (from + 1) * voxels), i * voxels);
    whole.fill(1, (count + i) * voxels, (count + i + 1) * voxels);
    padding[i] = background?.[from] ?? 0;
    padding[count + i] = 1;
  }
  return { channels: channelNames({ modalities, any: true }), images: whole, background: padding };
}
