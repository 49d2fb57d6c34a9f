// The page's first half: images in, networks chosen, segmentations out.

import { proxy, type Remote } from "comlink";
import { DataError } from "../data/errors.ts";
import type { Modality } from "../data/source.ts";
import { attempt } from "./alerts.ts";
import { casesIn, modalitiesOf, showCases } from "./caseTable.ts";
import { droppedFiles, inputFiles, within } from "./chosenFiles.ts";
import { byId, download } from "./dom.ts";
import studentUrl from "./example/student_t1ce.safetensors?url";
import teacherUrl from "./example/teacher.safetensors?url";
import { MODALITY_TITLES, showModels } from "./modelList.ts";
import { type Layer, showControls, showPanes } from "./panes.ts";
import type { File3d, ModelInfo, NamedFile, Progress, Recognised, Result } from "./protocol.ts";
import { showResults } from "./results.ts";
import type { Overlay } from "./viewer.ts";
import type { Engine } from "./worker.ts";

const EXAMPLE_MODELS = { "example teacher": teacherUrl, "example student": studentUrl };
const NO_CASES: Recognised = { rows: [], convention: "brats", note: null };

/** Fills the panel and answers to the user. `usable` is false where there is no GPU: images can be seen all the same. */
export async function startSegment(
  engine: Remote<Engine>,
  { usable }: { usable: boolean },
): Promise<SegmentPage> {
  const page = new SegmentPage(engine, usable);
  await page.start();
  return page;
}

class SegmentPage {
  readonly #engine: Remote<Engine>;
  readonly #usable: boolean;
  #cases: Recognised = NO_CASES;
  #models: ModelInfo[] = [];
  readonly #chosen: string[] = [];
  #results: Result[] = [];
  #case = "";
  #modality: Modality = "flair";
  #layer: Layer = "prediction";
  #busy = false;
  readonly #maps = new Map<string, File3d[]>(); // of similarity, by case and network

  constructor(engine: Remote<Engine>, usable: boolean) {
    this.#engine = engine;
    this.#usable = usable;
  }

  async start(): Promise<void> {
    const files = Object.entries(EXAMPLE_MODELS).map(async ([name, url]) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
      return { name, bytes: new Uint8Array(await response.arrayBuffer()) };
    });
    await this.#engine.addExampleModels(await Promise.all(files));
    this.#models = await this.#engine.addKeptModels();
    this.#chosen.push(...Object.keys(EXAMPLE_MODELS));
    this.#listen();
    this.#update();
  }

  /** Networks that were trained here are listed too. */
  async refreshModels(): Promise<void> {
    this.#models = await this.#engine.models();
    this.#update();
  }

  /** A network from a file is there and chosen. */
  async addModel(file: File): Promise<void> {
    const { id } = await this.#engine.addModel(file);
    this.#models = await this.#engine.models();
    this.#chosen.splice(0, this.#chosen.length, id);
    this.#forgetResults();
    this.#update();
  }

  #listen(): void {
    const drop = byId("drop");
    const over = (on: boolean) => (event: Event) => {
      event.preventDefault();
      drop.classList.toggle("over", on);
    };
    drop.addEventListener("dragover", over(true));
    drop.addEventListener("dragleave", over(false));
    // Anywhere on the page: what misses the box would be opened in place of the page.
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      over(false)(event);
      const { dataTransfer } = event as DragEvent;
      if (dataTransfer) void attempt(async () => this.#open(await droppedFiles(dataTransfer)));
    });
    for (const id of ["files", "folder"]) {
      const input = byId<HTMLInputElement>(id);
      input.addEventListener("change", () => {
        const files = inputFiles(input);
        input.value = ""; // the same files can be chosen again
        if (files.length) void attempt(() => this.#open(files));
      });
    }
    byId("example").addEventListener("click", () => {
      void attempt(async () => this.#show(await this.#engine.openExample()));
    });
    const checkpoint = byId<HTMLInputElement>("checkpoint");
    checkpoint.addEventListener("change", () => {
      const [file] = checkpoint.files ?? [];
      checkpoint.value = "";
      if (file) void attempt(() => this.addModel(file));
    });
    byId("run").addEventListener("click", () => void attempt(() => this.#run()));
    byId("cancel").addEventListener("click", () => void this.#engine.cancel());
  }

  /** Takes up what was chosen or dropped: checkpoints among it, or images. */
  async #open(files: NamedFile[]): Promise<void> {
    if (this.#busy) throw new DataError("a segmentation is running: wait for it, or cancel it");
    const checkpoints = files.filter(({ path }) => path.endsWith(".safetensors"));
    for (const { file } of checkpoints) await this.addModel(file);
    const others = files.filter((file) => !checkpoints.includes(file));
    if (!others.length && checkpoints.length) return;
    const { name, files: inside } = within(others);
    await this.#show(await this.#engine.openFiles(name, inside));
  }

  async #show(recognised: Recognised): Promise<void> {
    this.#cases = recognised;
    this.#forgetResults();
    this.#case = "";
    showCases(byId("cases"), recognised, () => {
      this.#forgetResults();
      this.#update();
      void attempt(() => this.#draw());
    });
    this.#update();
    await this.#draw();
  }

  async #run(): Promise<void> {
    const ids = casesIn(this.#cases.rows);
    const chosen = this.#models.filter(({ id }) => this.#chosen.includes(id));
    this.#refuseMissing(ids, chosen);
    this.#forgetResults();
    this.#setBusy(true);
    try {
      const report = proxy((progress: Progress) => this.#showProgress(progress));
      for (const id of ids) {
        for (const { id: model } of chosen) {
          this.#results.push(await this.#engine.segment(this.#study(), id, model, report));
        }
      }
    } catch (error) {
      byId("status").textContent = "";
      throw error;
    } finally {
      this.#setBusy(false);
    }
    this.#layer = "prediction";
    this.#update();
    await this.#draw();
    byId("status").textContent = `Done: ${ids.length === 1 ? ids[0]! : `${ids.length} cases`}.`;
  }

  /** One error for all cases that lack what a chosen network needs. */
  #refuseMissing(ids: readonly string[], chosen: readonly ModelInfo[]): void {
    const titles = (list: readonly Modality[]) => list.map((m) => MODALITY_TITLES[m]).join(", ");
    const problems = ids.flatMap((id) => {
      const present = modalitiesOf(this.#cases.rows, id);
      return chosen.flatMap(({ name, modalities }) => {
        const missing = modalities.filter((modality) => !present.includes(modality));
        if (!missing.length) return [];
        const fitting = this.#models.find(
          (other) => other.modalities.length && other.modalities.every((m) => present.includes(m)),
        );
        const remedy = fitting
          ? `choose ${fitting.name}`
          : "open a student's checkpoint that sees what is there";
        return [
          `case ${id}: has ${titles(present) || "no image"}, but ${name} needs ${titles(missing)} too: ${remedy}`,
        ];
      });
    });
    if (problems.length) throw new DataError(problems);
  }

  async #draw(): Promise<void> {
    const { rows } = this.#cases;
    const ids = casesIn(rows);
    if (!ids.length) return;
    if (!ids.includes(this.#case)) this.#case = ids[0]!;
    const id = this.#case;
    const modalities = modalitiesOf(rows, id);
    if (!modalities.length) return;
    if (!modalities.includes(this.#modality)) this.#modality = modalities.at(-1)!;
    const reference = rows.some((row) => row.case === id && row.role === "label");
    const results = this.#results.filter((result) => result.case === id);
    if (!results.length && this.#layer !== "none") this.#layer = reference ? "reference" : "none";
    const volume = await this.#engine.volume(this.#study(), id, this.#modality);
    const panes = [];
    for (const { model } of results) {
      panes.push({ title: model, volume, overlay: await this.#overlay(id, model) });
    }
    if (!panes.length) panes.push({ title: id, volume, overlay: await this.#overlay(id, "") });
    const choices = { ...{ cases: ids, case: id, modalities, reference }, predicted: results.length > 0 };
    showControls({ ...choices, modality: this.#modality, layer: this.#layer }, (chosen) => {
      [this.#case, this.#modality, this.#layer] = [chosen.case, chosen.modality, chosen.layer];
      void attempt(() => this.#draw());
    });
    await showPanes(panes);
    byId("results").hidden = !results.length;
    if (results.length)
      showResults(byId("result-tables"), results, (result) => void attempt(() => this.#save(result)));
  }

  async #overlay(id: string, model: string): Promise<Overlay> {
    if (this.#layer === "none") return null;
    const study = this.#study();
    if (this.#layer === "reference")
      return { kind: "classes", file: await this.#engine.reference(study, id) };
    if (this.#layer === "prediction") {
      return { kind: "classes", file: await this.#engine.prediction(study, id, model, "classes") };
    }
    const key = JSON.stringify([id, model]);
    const report = proxy((progress: Progress) => this.#showProgress(progress));
    let maps = this.#maps.get(key);
    if (!maps) {
      this.#setBusy(true);
      try {
        maps = await this.#engine.similarity(id, model, report);
        this.#maps.set(key, maps);
      } finally {
        this.#setBusy(false);
      }
    }
    return { kind: "cosines", file: maps[Number(this.#layer)]! };
  }

  async #save({ case: id, model }: Result): Promise<void> {
    const bytes = await this.#engine.prediction(this.#study(), id, model, "labels");
    download(bytes, `${id}_${model.replace(/\.safetensors$/, "").replace(/\s+/g, "_")}.nii.gz`);
  }

  #study() {
    const { rows, convention } = this.#cases;
    return { rows, convention };
  }

  #forgetResults(): void {
    this.#results = [];
    this.#maps.clear();
    byId("results").hidden = true;
    byId("status").textContent = "";
  }

  #update(): void {
    showModels(byId("models"), {
      models: this.#models,
      chosen: this.#chosen,
      changed: () => this.#update(),
      sees: (id, modality) =>
        void attempt(async () => {
          await this.#engine.modelSees(id, modality);
          this.#models = await this.#engine.models();
          this.#update();
        }),
    });
    const ready =
      this.#usable && !this.#busy && this.#chosen.length > 0 && casesIn(this.#cases.rows).length > 0;
    byId<HTMLButtonElement>("run").disabled = !ready;
  }

  #setBusy(busy: boolean): void {
    this.#busy = busy;
    byId<HTMLButtonElement>("cancel").disabled = !busy;
    byId("progress").hidden = !busy;
    this.#update();
  }

  #showProgress({ what, done, all }: Progress): void {
    const bar = byId<HTMLProgressElement>("progress");
    bar.value = done / Math.max(1, all);
    byId("status").textContent = `${what}, ${done} of ${all}`;
  }
}
