// A device without a GPU: whatever runs on it computes nothing, in no time, and is counted as in earnest: kernels that
// are called, bytes that are in use. How much memory a training will take is known so before it begins.

const nothing = (): undefined => undefined;

/** A GPUDevice of these limits and features, as far as the engine uses one; its buffers take no memory. */
export function hollow({ limits, features }: GPUDevice): GPUDevice {
  const pass = {
    ...{ setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing },
  };
  const encoder = {
    ...{ copyBufferToBuffer: nothing, beginComputePass: () => pass, finish: () => ({}) },
  };
  const made = () => ({});
  const gpu = {
    ...{ limits, features, lost: new Promise(nothing), addEventListener: nothing },
    queue: { writeBuffer: nothing, submit: nothing },
    createBuffer: ({ size }: GPUBufferDescriptor) => ({ size, destroy: nothing }),
    createCommandEncoder: () => encoder,
    ...{ createBindGroupLayout: made, createPipelineLayout: made, createBindGroup: made },
    createShaderModule: made,
    createComputePipeline: ({ label }: GPUComputePipelineDescriptor) => ({ label }),
  };
  return gpu as unknown as GPUDevice;
}
