// A device without a GPU. Nothing is computed on it, but the calls of kernels and the bytes in use are
// counted as on a real one: so the memory that a run will take is known before it begins.

const nothing = (): undefined => undefined;

/** A GPUDevice with these limits and features, as far as the engine uses one. Its buffers take no memory. */
export function hollow({ limits, features }: GPUDevice): GPUDevice {
  const pass = {
    setPipeline: nothing,
    setBindGroup: nothing,
    dispatchWorkgroups: nothing,
    end: nothing,
  };
  const encoder = {
    copyBufferToBuffer: nothing,
    beginComputePass: () => pass,
    finish: () => ({}),
  };
  const made = () => ({});
  const gpu = {
    limits,
    features,
    lost: new Promise(nothing),
    addEventListener: nothing,
    queue: { writeBuffer: nothing, submit: nothing },
    createBuffer: ({ size }: GPUBufferDescriptor) => ({ size, destroy: nothing }),
    createCommandEncoder: () => encoder,
    createBindGroupLayout: made,
    createPipelineLayout: made,
    createBindGroup: made,
    createShaderModule: made,
    createComputePipeline: ({ label }: GPUComputePipelineDescriptor) => ({ label }),
  };
  return gpu as unknown as GPUDevice;
}
