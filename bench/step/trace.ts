// The trace of a step for chrome://tracing and ui.perfetto.dev: JavaScript's phases on one track, the GPU's
// dispatches on another. The two clocks share no zero, so the first dispatch is drawn where recording began.

import type { ProfiledDispatch } from "../../engine/index.ts";
import { smallest } from "../../engine/values.ts";
import type { Phase } from "./measure.ts";

/** An event of the trace format: `X` has a duration, `M` names a track. Times in microseconds. */
export type TraceEvent =
  | { ph: "M"; pid: number; tid: number; name: "thread_name"; args: { name: string } }
  | { ph: "X"; pid: number; tid: number; name: string; cat: string; ts: number; dur: number };

const TRACKS = { JavaScript: 1, GPU: 2 } as const;

export function traceOf(phases: readonly Phase[], dispatches: readonly ProfiledDispatch[]): TraceEvent[] {
  const names = Object.entries(TRACKS).map(([name, tid]): TraceEvent => {
    return { ph: "M", pid: 1, tid, name: "thread_name", args: { name } };
  });
  const track = (tid: number, events: readonly (Phase & { cat: string })[]) => {
    const zero = smallest(events.map(({ begin }) => begin));
    return events.map(({ name, cat, begin, end }): TraceEvent => {
      return { ph: "X", pid: 1, tid, name, cat, ts: 1000 * (begin - zero), dur: 1000 * (end - begin) };
    });
  };
  const ran = dispatches.map(({ kernel, phase, begin, end }) => ({ name: kernel, cat: phase, begin, end }));
  return [
    ...names,
    ...track(
      TRACKS.JavaScript,
      phases.map((phase) => ({ ...phase, cat: "recording" })),
    ),
    ...track(TRACKS.GPU, ran),
  ];
}
