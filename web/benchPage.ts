// The bench as a page: a row for every op and pass, and the table as text to copy.

import { proxy } from "comlink";
import type { Measurement } from "../bench/kernels/measure.ts";
import { attempt } from "./alerts.ts";
import type { Bench, BenchSize } from "./benchWorker.ts";
import { byId, element } from "./dom.ts";
import { connect } from "./engine.ts";

const SIZES: Readonly<Record<string, BenchSize>> = {
  "tiny: 4 filters, 16³": { filters: 4, patch: [16, 16, 16], samples: 2 },
  "small: 8 filters, 48x64x64": { filters: 8, patch: [48, 64, 64], samples: 3 },
  "the paper's: 16 filters, 96x128x128": { filters: 16, patch: [96, 128, 128], samples: 5 },
};
const HEAD = ["op", "size", "pass", "ms", "GFLOP/s", "GB/s", "of peak", "error"];
const WRONG = 1e-4;

async function start(): Promise<void> {
  const worker = new Worker(new URL("./benchWorker.ts", import.meta.url), { type: "module", name: "bench" });
  const bench = await connect<Bench>(worker);
  const gpu = await bench.gpu();
  byId("gpu").textContent = gpu.found ? gpu.name : gpu.why;
  const size = byId<HTMLSelectElement>("size");
  size.append(...Object.keys(SIZES).map((name) => element("option", { value: name }, name)));
  size.selectedIndex = 1;
  const button = (id: string) => byId<HTMLButtonElement>(id);
  button("start").disabled = !gpu.found;
  const lines: string[][] = [];

  button("start").addEventListener("click", () => {
    void attempt(async () => {
      lines.length = 0;
      const body = element("tbody");
      const head = element("tr", {}, ...HEAD.map((text) => element("th", { scope: "col" }, text)));
      byId("rows").replaceChildren(element("thead", {}, head), body);
      button("start").disabled = true;
      button("stop").disabled = false;
      try {
        const tell = proxy((row: Measurement, done: number, all: number) => {
          lines.push(cells(row));
          body.append(element("tr", {}, ...lines.at(-1)!.map((text) => element("td", {}, text))));
          byId("status").textContent = `${done} of ${all} ops`;
          button("copy").disabled = false;
        });
        const clock = await bench.run(SIZES[size.value]!, byId<HTMLInputElement>("filter").value, tell);
        byId("status").textContent = `Done: ${lines.length} rows, time by ${clock}.`;
      } finally {
        button("start").disabled = false;
        button("stop").disabled = true;
      }
    });
  });
  button("stop").addEventListener("click", () => void bench.stop());
  button("copy").addEventListener("click", () => {
    const rows = [HEAD, HEAD.map(() => "---"), ...lines].map((row) => `| ${row.join(" | ")} |`);
    const about = `${byId("gpu").textContent}; ${size.value}; ${navigator.userAgent}`;
    void attempt(async () => {
      await navigator.clipboard.writeText([about, "", ...rows].join("\n"));
      byId("status").textContent = "Copied.";
    });
  });
  document.documentElement.dataset["ready"] = "true";
}

/** A row as text. */
function cells(row: Measurement): string[] {
  const { op, detail, size, pass, shortest_ms, gflops, gbytes_per_second, fraction_of_peak, bound } = row;
  const name = [`${op} ${detail}`, size.join("x"), pass];
  if (row.problem !== null || shortest_ms === null)
    return [...name, row.problem ?? "not run", "", "", "", ""];
  const peak = fraction_of_peak === null ? "" : `${(100 * fraction_of_peak).toFixed(0)} % ${bound}`;
  const error =
    row.error === null ? "" : `${row.error.toExponential(0)}${row.error <= WRONG ? "" : " WRONG"}`;
  const number = (value: number | null) => (value ? value.toPrecision(3) : "");
  return [...name, number(shortest_ms), number(gflops), number(gbytes_per_second), peak, error];
}

void attempt(start);
