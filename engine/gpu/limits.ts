/** Limits that the engine raises to the adapter's. WebGPU's defaults suffice for all but large volumes. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupStorageSize",
] as const;

/** Features for faster kernels and for profiles. The engine works without them. */
const FEATURES = ["timestamp-query", "subgroups", "shader-f16"] as const;

/** "adapter": the adapter's limits and features; "default": WebGPU's least limits and no feature. */
export type Limits = "adapter" | "default";

/** The limits and features to request of an adapter. */
export function requested(adapter: GPUAdapter, limits: Limits): GPUDeviceDescriptor {
  if (limits === "default") return {};
  return {
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
  };
}
