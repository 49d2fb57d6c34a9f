// The benchmark's page: a row for every op and pass, and the table as text to copy.

import { proxy } from "comlink";
import type { Measurement } from "../../bench/kernels/measure.ts";
import { attempt, showError } from "../ui/alerts.ts";
import type { Bench, BenchNews, BenchSize } from "./benchWorker.ts";
import { byId, element } from "../ui/dom.ts";
import { connect, unsupported } from "../worker/engine.ts";

const SIZES: Readonly<Record<string, BenchSize>> = {
  "tiny: 4 filters, 16³": { filters: 4, patch: [16, 16, 16], samples: 2 },
  "small: 8 filters, 48x64x64": { filters: 8, patch: [48, 64, 64], samples: 3 },
  "the paper's: 16 filters, 96x128x128": { filters: 16, patch: [96, 128, 128], samples: 5 },
};
const HEAD = ["op", "size", "pass", "ms", "GFLOP/s", "GB/s", "of peak", "error"];
const TOLERANCE = 1e-4; // as in npm run bench

/**
 * Copies the rows as a table in Markdown, or selects it where the browser forbids that; returns what the user
 * should know.
 */
async function copy(lines: readonly string[][], size: string): Promise<string> {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = [HEAD, HEAD.map(() => "---"), ...lines].map((row) => `| ${row.map(cell).join(" | ")} |`);
  const about = `${byId("gpu").textContent}; ${size}; ${navigator.userAgent}`;
  try {
    await navigator.clipboard.writeText([about, "", ...rows].join("\n"));
    return "Copied.";
  } catch {
    getSelection()?.selectAllChildren(byId("rows"));
    return "The browser does not let the page copy. The table is selected: copy it with the keyboard.";
  }
}

async function start(): Promise<void> {
  const worker = new Worker(new URL("./benchWorker.ts", import.meta.url), { type: "module", name: "bench" });
  const bench = await connect<Bench>(worker);
  const gpu = await bench.gpu();
  byId("gpu").textContent = gpu.found ? gpu.name : "No GPU";
  if (!gpu.found) showError(unsupported(gpu.why));
  const size = byId<HTMLSelectElement>("size");
  size.append(...Object.keys(SIZES).map((name) => element("option", { value: name }, name)));
  size.selectedIndex = 1;
  const button = (id: string) => byId<HTMLButtonElement>(id);
  const status = (text: string) => (byId("status").textContent = text);
  button("start").disabled = !gpu.found;
  const lines: string[][] = [];

  button("start").addEventListener("click", () => {
    void attempt(async () => {
      lines.length = 0;
      let wrong = 0;
      const body = element("tbody");
      const head = element("tr", {}, ...HEAD.map((text) => element("th", { scope: "col" }, text)));
      byId("rows").replaceChildren(element("thead", {}, head), body);
      const report = (news: BenchNews) => {
        if (news.type === "doing") return void status(`${news.what} …`);
        wrong += Number(isWrong(news.row));
        lines.push(cells(news.row));
        body.append(element("tr", {}, ...lines.at(-1)!.map((text) => element("td", {}, text))));
        button("copy").disabled = false;
      };
      setRunning(true);
      try {
        const { clock, stopped } = await bench.run(
          SIZES[size.value]!,
          byId<HTMLInputElement>("filter").value.trim(),
          proxy(report),
        );
        const counts = `${lines.length} rows, ${wrong || "none"} wrong, time by ${clock}`;
        status(`${stopped ? "Stopped" : "Done"}: ${counts}.`);
      } catch (error) {
        status("");
        throw error;
      } finally {
        setRunning(false);
      }
    });
  });
  button("stop").addEventListener("click", () => {
    button("stop").disabled = true;
    status("Stopping after this row …");
    void bench.stop();
  });
  button("copy").addEventListener("click", () => void copy(lines, size.value).then(status));

  function setRunning(running: boolean): void {
    button("start").disabled = running;
    button("stop").disabled = !running;
    size.disabled = running;
  }
  document.documentElement.dataset["ready"] = "true";
}

/** A row as text. */
function cells(row: Measurement): string[] {
  const { op, detail, size, pass, shortest_ms, gflops, gbytes_per_second, fraction_of_peak, bound } = row;
  const name = [`${op} ${detail}`, size.join("x"), pass];
  if (row.problem !== null || shortest_ms === null)
    return [...name, row.problem ?? "not run", "", "", "", ""];
  const peak = fraction_of_peak === null ? "" : `${(100 * fraction_of_peak).toFixed(0)} % ${bound}`;
  const error = row.error === null ? "" : row.error.toExponential(0);
  const number = (value: number | null) => (value ? value.toPrecision(3) : "");
  return [
    ...name,
    number(shortest_ms),
    number(gflops),
    number(gbytes_per_second),
    peak,
    isWrong(row) ? `${error} WRONG` : error,
  ];
}

function isWrong({ error }: Measurement): boolean {
  return error !== null && !(error <= TOLERANCE);
}

void attempt(start);
