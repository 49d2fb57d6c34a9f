// The page's second half: a training that runs in the worker, watched, paused, and taken up again.

import { proxy, type Remote } from "comlink";
import { bytesText } from "../engine/errors.ts";
import { attempt } from "./alerts.ts";
import { showCases } from "./caseTable.ts";
import { inputFiles, within } from "./chosenFiles.ts";
import { Chart } from "./curves.ts";
import { byId, download, element } from "./dom.ts";
import type { Recognised } from "./protocol.ts";
import { showSlice } from "./sliceView.ts";
import { readForm, showForm } from "./trainForm.ts";
import type { KeptRun, TrainNews } from "./trainProtocol.ts";
import type { Engine } from "./worker.ts";

export interface TrainOptions {
  usable: boolean;
  /** Called when a network has been trained. */
  trained: () => Promise<void>;
}

/** Fills the panel and answers to the user. */
export async function startTrain(engine: Remote<Engine>, options: TrainOptions): Promise<void> {
  const page = new TrainPage(engine, options);
  await page.start();
}

class TrainPage {
  readonly #engine: Remote<Engine>;
  readonly #options: TrainOptions;
  readonly #charts = new Map<string, Chart>();
  #files: Recognised | null = null;
  #paused = false;

  constructor(engine: Remote<Engine>, options: TrainOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  async start(): Promise<void> {
    showForm(await this.#engine.models(), (data) => (byId("train-files").hidden = data !== "files"));
    byId("settings").addEventListener("submit", (event) => {
      event.preventDefault();
      void attempt(() => this.#begin(null));
    });
    const from = byId<HTMLInputElement>("train-from");
    from.addEventListener("change", () => {
      const [file] = from.files ?? [];
      from.value = "";
      if (file) void attempt(() => this.#begin(file));
    });
    const folder = byId<HTMLInputElement>("train-folder");
    folder.addEventListener("change", () => {
      const { name, files } = within(inputFiles(folder));
      folder.value = "";
      void attempt(async () => {
        this.#files = await this.#engine.openTraining(name, files);
        showCases(byId("train-cases"), this.#files, () => {});
      });
    });
    byId("train-pause").addEventListener("click", () => {
      void (this.#paused ? this.#engine.resumeTraining() : this.#engine.pauseTraining());
    });
    byId("train-stop").addEventListener("click", () => void this.#engine.stopTraining());
    byId("kept-go").addEventListener("click", () => void attempt(() => this.#goOn()));
    byId("kept-drop").addEventListener("click", () => (byId("kept").hidden = true));
    this.#setRunning(false);
    await this.#showKept();
  }

  /** A new run; from a state in a file, if there is one. */
  async #begin(from: File | null): Promise<void> {
    const { settings, data } = readForm();
    if (data === "files" && !this.#files) {
      throw Object.assign(new Error("choose the folder of cases first"), { name: "DataError" });
    }
    const cases = data === "files" ? ({ kind: "files", ...this.#files! } as const) : data;
    await this.#run(await this.#engine.keepRun({ settings, data: cases }, from));
  }

  async #goOn(): Promise<void> {
    const run = await this.#engine.keptRun();
    if (!run) throw Object.assign(new Error("no training is kept any more"), { name: "DataError" });
    if (run.data.kind === "files" && this.#files) run.data = { kind: "files", ...this.#files };
    if (run.data.kind === "files" && !this.#files) {
      byId<HTMLSelectElement>("data").value = "files";
      byId("train-files").hidden = false;
    }
    await this.#run(run);
  }

  async #run(run: KeptRun): Promise<void> {
    byId("kept").hidden = true;
    this.#charts.clear();
    byId("charts").replaceChildren();
    byId("slices").replaceChildren();
    this.#showDownloads(run.stages[0]!.stage, false);
    this.#setRunning(true);
    try {
      await this.#engine.train(
        run,
        proxy((news: TrainNews) => this.#tell(news)),
      );
      byId("train-status").textContent = "Done: the networks can be used under Segment.";
    } catch (error) {
      byId("train-status").textContent = "Stopped.";
      throw error;
    } finally {
      this.#setRunning(false);
      await this.#showKept();
      await this.#options.trained();
    }
  }

  #tell(news: TrainNews): void {
    const status = byId("train-status");
    const bar = byId<HTMLProgressElement>("train-progress");
    switch (news.type) {
      case "stage":
        status.textContent = `${news.stage}: ${news.parameters.toLocaleString("en")} parameters, ${news.steps} steps${
          news.resumed ? `, going on after ${news.resumed}` : ""
        }`;
        return this.#showDownloads(news.stage, news.resumed > 0);
      case "doing":
        status.textContent = news.what;
        return;
      case "step": {
        const { stage, step, steps, epoch, losses, samplesPerSecond, bytes } = news;
        bar.value = step / steps;
        status.textContent = `${stage}: step ${step} of ${steps}, epoch ${epoch}`;
        this.#chart(`${stage}: losses by step`).add(step, losses);
        const left = (steps - step) * (samplesPerSecond ? readForm().settings.batch / samplesPerSecond : NaN);
        return showNumbers({
          loss: losses["total"]?.toPrecision(4) ?? "",
          "samples a second": samplesPerSecond ? samplesPerSecond.toPrecision(3) : "…",
          left: Number.isFinite(left) ? `${Math.ceil(left / 60)} min` : "…",
          "GPU memory": bytesText(bytes),
        });
      }
      case "epoch":
        if (news.record.validation) {
          this.#chart(`${news.stage}: Dice of the validation`).add(news.record.epoch, news.record.validation);
        }
        return;
      case "slice":
        return showSlice(byId("slices"), `${news.stage}, ${news.slice.case}`, news.slice);
      case "saved":
        return this.#showDownloads(news.stage, true);
      case "paused":
        this.#paused = news.on;
        byId("train-pause").textContent = news.on ? "Resume" : "Pause";
        if (news.on) status.textContent += " (paused and saved)";
        return;
      case "stageDone":
        status.textContent = `${news.stage}: done`;
    }
  }

  #chart(title: string): Chart {
    const known = this.#charts.get(title);
    if (known) return known;
    const made = new Chart(title);
    this.#charts.set(title, made);
    byId("charts").append(made.element);
    return made;
  }

  #showDownloads(stage: string, there: boolean): void {
    const button = (which: "best" | "latest", text: string) =>
      element(
        "button",
        { type: "button", disabled: !there, click: () => void attempt(() => this.#save(stage, which)) },
        text,
      );
    byId("train-downloads").replaceChildren(
      button("best", `Download ${stage}'s best network`),
      button("latest", `Download ${stage}'s training, to go on elsewhere`),
    );
  }

  async #save(stage: string, which: "best" | "latest"): Promise<void> {
    const bytes = await this.#engine.keptFile(stage, which);
    if (!bytes) {
      throw Object.assign(new Error(`${stage}: nothing has been saved yet: wait for a validation`), {
        name: "DataError",
      });
    }
    download(bytes, which === "best" ? `${stage}.safetensors` : `${stage}_checkpoint_latest.safetensors`);
  }

  async #showKept(): Promise<void> {
    const run = await this.#engine.keptRun().catch(() => null); // a browser may keep nothing, in a private window
    const open = run?.stages.some(({ done }) => !done) ?? false;
    byId("kept").hidden = !open || !this.#options.usable;
    if (!run || !open) return;
    const stages = run.stages.map(({ stage, done, step }) => `${stage}: ${done ? "done" : `${step} steps`}`);
    byId("kept-text").textContent = stages.join("; ");
  }

  #setRunning(running: boolean): void {
    byId<HTMLButtonElement>("train-start").disabled = running || !this.#options.usable;
    byId<HTMLInputElement>("train-from").disabled = running || !this.#options.usable;
    byId<HTMLButtonElement>("train-pause").disabled = !running;
    byId<HTMLButtonElement>("train-stop").disabled = !running;
    byId("train-progress").hidden = !running;
  }
}

function showNumbers(values: Readonly<Record<string, string>>): void {
  const items = Object.entries(values).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)),
  );
  byId("train-numbers").replaceChildren(...items);
}
