// How long a call takes on a device: by the GPU's own clock where it has one, since on a GPU many calls take
// less time than the JavaScript that records them; else by wall clock.

import type { Device } from "../gpu/device.ts";
import { Profile } from "../gpu/profile.ts";
import { scope } from "../autograd/tensor.ts";

/**
 * Measures how long a call takes, in any unit. It may stop as soon as it is clear that the call takes more
 * than `least`. Tests replace it.
 */
export type Timer = (call: () => void, least: number) => Promise<number>;

const SAMPLE_MS = 20; // the least time of a sample, which repeats short calls
const SAMPLES = 3;
const MOST_CALLS = 2000;
const HOPELESS = 1.5; // times the least: more samples would not make up for it

/** Returns a timer in milliseconds: of one call, in the shortest of some samples of many calls each. */
export function milliseconds(device: Device): Timer {
  const sample = device.gpu.features.has("timestamp-query") ? byTimestamps(device) : byWallClock(device);
  return async (call, least) => {
    await sample(call, 1); // compiles
    const once = await sample(call, 1);
    if (once > HOPELESS * least) return once;
    const calls = Math.ceil(Math.min(MOST_CALLS, SAMPLE_MS / Math.max(once, 1e-3)));
    let shortest = Infinity;
    for (let i = 0; i < SAMPLES; i++) shortest = Math.min(shortest, await sample(call, calls));
    return shortest;
  };
}

type Sample = (call: () => void, calls: number) => Promise<number>;

/** The time of the dispatches alone. */
function byTimestamps(device: Device): Sample {
  const profile = new Profile(device);
  return async (call, calls) => {
    const before = device.profile;
    device.flush();
    device.profile = profile;
    try {
      for (let i = 0; i < calls; i++) scope(call);
      const dispatches = await profile.dispatches();
      device.check();
      return dispatches.reduce((sum, { begin, end }) => sum + end - begin, 0) / calls;
    } finally {
      device.profile = before;
    }
  };
}

function byWallClock(device: Device): Sample {
  return async (call, calls) => {
    await device.gpu.queue.onSubmittedWorkDone();
    const started = performance.now();
    for (let i = 0; i < calls; i++) scope(call);
    device.flush();
    await device.gpu.queue.onSubmittedWorkDone();
    device.check();
    return (performance.now() - started) / calls;
  };
}
