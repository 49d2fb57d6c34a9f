// The page's second half: a training that runs in the worker, shown, paused and resumed.

import { proxy, type Remote } from "comlink";
import { bytesText } from "../engine/gpu/errors.ts";
import { attempt, showFindings } from "./ui/alerts.ts";
import { showCases } from "./segment/caseTable.ts";
import { inputFiles, within } from "./segment/chosenFiles.ts";
import { Chart } from "./train/curves.ts";
import { mayDiscard, startDiscard } from "./train/discard.ts";
import { isPretraining, showEncoderLink } from "./train/encoderLink.ts";
import { byId, download, element } from "./ui/dom.ts";
import { checkSameFolder, ownData, type OwnFolder } from "./train/ownData.ts";
import { showSlice } from "./train/sliceView.ts";
import { fillForm, readForm, settingsOf, showEncoder, showForm, showTeachers } from "./train/trainForm.ts";
import type { KeptRun, TrainNews } from "./train/trainProtocol.ts";
import type { Engine } from "./worker/worker.ts";

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
  #own: OwnFolder | null = null;
  #waiting = false; // for the folder of a saved training
  #paused = false;
  #batch = 1;
  #segments = true; // the network of the last stage

  constructor(engine: Remote<Engine>, options: TrainOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  async start(): Promise<void> {
    const [models, choices] = await Promise.all([this.#engine.models(), this.#engine.form()]);
    showForm(choices, models, () => this.#showFiles());
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
      const chosen = within(inputFiles(folder));
      folder.value = "";
      void attempt(() => this.#open(chosen));
    });
    byId("train-pause").addEventListener("click", () => {
      void (this.#paused ? this.#engine.resumeTraining() : this.#engine.pauseTraining());
    });
    byId("train-stop").addEventListener("click", () => void this.#engine.stopTraining());
    byId("tab-train").addEventListener("click", () => void this.#refreshTeachers());
    byId("kept-go").addEventListener("click", () => void attempt(() => this.#resume()));
    byId("kept-drop").addEventListener("click", () => void attempt(() => this.#discard()));
    startDiscard();
    this.#setRunning(false);
    await this.#showEncoder();
    await this.#showKept();
  }

  /** Takes up a folder of the user's; a training that was waiting for it resumes. */
  async #open({ name, files }: Pick<OwnFolder, "name" | "files">): Promise<void> {
    const recognised = await this.#engine.openTraining(name, [...files]);
    this.#own = { name, files, recognised };
    showCases(byId("train-cases"), recognised, () => {});
    if (this.#waiting) await this.#resume();
  }

  /** A new run; from a state in a file, if there is one. */
  async #begin(from: File | null): Promise<void> {
    const asked = from ? settingsOf(await this.#engine.fileSettings(from)) : {};
    fillForm(asked);
    const { settings, data } = readForm(asked);
    if (data === "files" && !this.#own) throw dataError("choose the folder of cases first");
    const about = "You have an unfinished training. Starting a new one deletes it.";
    if (!byId("kept").hidden && !(await mayDiscard(about))) return;
    const cases = data === "files" ? ownData(this.#own!) : data;
    await this.#run(await this.#engine.keepRun({ settings, data: cases }, from));
  }

  async #resume(): Promise<void> {
    const run = await this.#engine.keptRun();
    if (!run) throw dataError("the saved training is gone");
    const { settings, data } = run;
    fillForm(settings);
    byId<HTMLSelectElement>("data").value = data.kind;
    this.#showFiles();
    if (data.kind === "files") {
      this.#waiting = true;
      if (!this.#own) throw dataError(`the files are needed again: choose the folder ${data.folder} below`);
      checkSameFolder(data, this.#own);
    }
    await this.#run(run);
  }

  async #discard(): Promise<void> {
    const about = `${byId("kept-text").textContent}. This deletes it from this browser, with the networks that it has trained.`;
    if (!(await mayDiscard(about))) return;
    await this.#engine.forgetRun();
    this.#waiting = false;
    byId("train-downloads").replaceChildren();
    await this.#showKept();
  }

  async #run(run: KeptRun): Promise<void> {
    this.#waiting = false;
    this.#batch = run.settings.batch ?? 1;
    byId("kept").hidden = true;
    byId("train-note").hidden = true;
    showFindings(byId("train-findings"), []);
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
      byId("train-status").textContent = doneText(run, this.#segments);
    } catch (error) {
      byId("train-status").textContent = "Stopped.";
      throw error;
    } finally {
      this.#setRunning(false);
      await this.#showKept();
      await this.#showEncoder();
      await this.#options.trained();
      await this.#refreshTeachers();
    }
  }

  #tell(news: TrainNews): void {
    const status = byId("train-status");
    const bar = byId<HTMLProgressElement>("train-progress");
    switch (news.type) {
      case "stage":
        status.textContent = `${news.stage}: ${news.parameters.toLocaleString("en")} parameters, ${news.steps} steps${
          news.resumed ? `, resuming after ${news.resumed}` : ""
        }`;
        bar.value = news.resumed / news.steps;
        return this.#showDownloads(news.stage, news.resumed > 0);
      case "doing":
        status.textContent = news.what;
        return;
      case "findings":
        return showFindings(byId("train-findings"), news.lines);
      case "lost":
        byId("train-note").hidden = false;
        byId("train-note").textContent =
          `${news.stage}: the GPU was lost; training resumes from the last checkpoint on a new device.`;
        return;
      case "step": {
        const { stage, step, steps, epoch, losses, observed = {}, samplesPerSecond, bytes } = news;
        bar.value = step / steps;
        status.textContent = `${stage}: step ${step} of ${steps}, epoch ${epoch}`;
        this.#chart(`${stage}: losses by step`).add(step, losses);
        if (news.observed) this.#chart(`${stage}: observed by step`).add(step, observed);
        const numbers = Object.entries(observed).map(([name, value]) => [name, value.toPrecision(3)]);
        const left = (steps - step) * (samplesPerSecond ? this.#batch / samplesPerSecond : NaN);
        return showNumbers({
          loss: losses["total"]?.toPrecision(4) ?? "",
          ...Object.fromEntries(numbers),
          "samples a second": samplesPerSecond ? samplesPerSecond.toPrecision(3) : "…",
          left: Number.isFinite(left) ? `${Math.ceil(left / 60)} min` : "…",
          "GPU memory": bytesText(bytes),
        });
      }
      case "epoch":
        if (news.record.validation) {
          this.#chart(`${news.stage}: ${news.record.score ?? "Dice"} of the validation`).add(
            news.record.epoch,
            news.record.validation,
          );
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
        this.#segments = news.model !== null;
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
      ...(isPretraining(stage) ? [] : [button("best", `Download ${stage}'s best network`)]),
      button("latest", `Download ${stage}'s training, to resume elsewhere`),
    );
  }

  async #save(stage: string, which: "best" | "latest"): Promise<void> {
    const bytes = await this.#engine.keptFile(stage, which);
    if (!bytes) {
      throw dataError(`${stage}: nothing has been saved yet: wait for a validation`);
    }
    download(bytes, which === "best" ? `${stage}.safetensors` : `${stage}_checkpoint_latest.safetensors`);
  }

  /** Shows the encoder of the last pretraining, to download and to begin with. */
  async #showEncoder(): Promise<void> {
    const kept = await this.#engine.encoder();
    showEncoder(kept);
    showEncoderLink(kept, (name) => {
      void attempt(async () => {
        const bytes = await this.#engine.encoderFile();
        if (bytes) download(bytes, `${name}.safetensors`);
      });
    });
  }

  async #showKept(): Promise<void> {
    const run = await this.#engine.keptRun().catch(() => null); // a private window may keep nothing
    const open = run?.stages.some(({ done }) => !done) ?? false;
    byId("kept").hidden = !open || !this.#options.usable;
    if (!run || !open) return;
    const stages = run.stages.map(({ stage, done, step, old }) =>
      old
        ? `${stage}: saved by an older version, which this one cannot resume`
        : `${stage}: ${done ? "done" : `${step} steps`}`,
    );
    byId("kept-text").textContent = stages.join("; ");
  }

  async #refreshTeachers(): Promise<void> {
    showTeachers(await this.#engine.models());
  }

  #showFiles(): void {
    byId("train-files").hidden = byId<HTMLSelectElement>("data").value !== "files";
  }

  #setRunning(running: boolean): void {
    byId<HTMLButtonElement>("train-start").disabled = running || !this.#options.usable;
    byId<HTMLInputElement>("train-from").disabled = running || !this.#options.usable;
    byId<HTMLButtonElement>("train-pause").disabled = !running;
    byId<HTMLButtonElement>("train-stop").disabled = !running;
    byId("train-progress").hidden = !running;
  }
}

/** Says what the networks of a finished run are for. */
function doneText({ settings: { stages } }: KeptRun, segments: boolean): string {
  if (stages === "pretrain") return "Done: a training can begin with the encoder.";
  if (segments) return "Done: the networks can be used under Segment.";
  return (
    "Done: the student says which regions a patch shows, and segments nothing. Download its best network below, " +
    "and use it with node cli/predict.js."
  );
}

function dataError(message: string): Error {
  return Object.assign(new Error(message), { name: "DataError" });
}

function showNumbers(values: Readonly<Record<string, string>>): void {
  const items = Object.entries(values).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)),
  );
  byId("train-numbers").replaceChildren(...items);
}
