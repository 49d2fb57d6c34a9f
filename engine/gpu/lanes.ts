/** The least and the most invocations of a subgroup; 0 where kernels cannot use subgroups. */
export interface Lanes {
  min: number;
  max: number;
}

/** The subgroups of an adapter or a device. */
export function lanesOf({ info, features }: Pick<GPUAdapter, "info" | "features">): Lanes {
  const { subgroupMinSize: min = 0, subgroupMaxSize: max = 0 } = info;
  return features.has("subgroups") ? { min, max } : { min: 0, max: 0 };
}
