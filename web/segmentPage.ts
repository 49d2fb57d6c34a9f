// The Segment tab: opens images, chooses networks, shows segmentations.

import { proxy, type Remote } from "comlink";
import { append } from "../engine/values.ts";
import { DataError } from "../data/errors.ts";
import { CLASS_NAMES } from "../data/datasets/labels.ts";
import { attempt, showError } from "./ui/alerts.ts";
import { casesIn, modalitiesOf, refuseMissing, showCases } from "./segment/caseTable.ts";
import { onChoice, onDrop, within } from "./segment/chosenFiles.ts";
import { byId, download } from "./ui/dom.ts";
import studentUrl from "./example/student_t1ce.safetensors?url";
import teacherUrl from "./example/teacher.safetensors?url";
import { CancelledError } from "./ui/explain.ts";
import { showModels } from "./segment/modelList.ts";
import { type Chosen, clearPanes, showControls, showPanes } from "./segment/panes.ts";
import type { File3d, ModelInfo, NamedFile, Progress, Recognised, Result } from "./worker/protocol.ts";
import { fileName, showResults } from "./segment/results.ts";
import type { Overlay } from "./segment/viewer.ts";
import type { Engine } from "./worker/worker.ts";

const EXAMPLE_MODELS = { "example teacher": teacherUrl, "example student": studentUrl };
const NO_CASES: Recognised = { rows: [], convention: "brats", note: null };

/** Starts the tab. `usable` is false without a GPU: then images can only be viewed. */
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
  #view: Chosen = { case: "", modality: "flair", layer: "prediction" };
  #busy = false;
  #cancelled = false;
  #drawn: Promise<void> = Promise.resolve(); // the last drawing: the next one waits for it
  readonly #maps = new Map<string, File3d[]>(); // similarity maps by case and network

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
    append(this.#chosen, Object.keys(EXAMPLE_MODELS));
    this.#listen();
    this.#update();
  }

  /** Lists the networks again, after a training has added one. */
  async refreshModels(): Promise<void> {
    this.#models = await this.#engine.models();
    this.#update();
  }

  /** Adds a network from a file, and chooses it. */
  async addModel(file: File): Promise<void> {
    const { id } = await this.#engine.addModel(file);
    this.#models = await this.#engine.models();
    this.#chosen.splice(0, this.#chosen.length, id);
    this.#forgetResults();
    this.#update();
  }

  #listen(): void {
    onDrop(byId("drop"), (files) => {
      void attempt(async () => {
        if (byId("segment").hidden)
          throw new DataError(
            "expected files to segment: choose the tab Segment first; to train on a folder, choose it with its button",
          );
        await this.#open(await files());
      });
    });
    for (const id of ["files", "folder"]) onChoice(id, (files) => void attempt(() => this.#open(files)));
    onChoice("checkpoint", ([chosen]) => void attempt(() => this.addModel(chosen!.file)));
    byId("example").addEventListener("click", () => {
      void attempt(async () => this.#show(await this.#engine.openExample()));
    });
    byId("run").addEventListener("click", () => void attempt(() => this.#run()));
    byId("cancel").addEventListener("click", () => {
      this.#cancelled = true;
      void this.#engine.cancel();
    });
  }

  /** Opens the chosen or dropped files: checkpoints and images. */
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
    this.#view = { ...this.#view, case: "" };
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
    refuseMissing(this.#cases.rows, chosen, this.#models);
    this.#forgetResults();
    const results: Result[] = [];
    const problems: string[] = []; // cases with problems do not keep the others from being segmented
    try {
      await this.#busily(async (report) => {
        for (const id of ids) {
          for (const { id: model } of chosen) {
            if (this.#cancelled) throw new CancelledError("Finished cases are kept.");
            try {
              results.push(await this.#engine.segment(this.#study(), id, model, report));
            } catch (error) {
              if (!(error instanceof Error) || error.name !== "DataError") throw error;
              problems.push(error.message);
              break;
            }
          }
        }
      });
      if (problems.length) throw new DataError(problems);
    } finally {
      this.#results = results;
      if (results.length) this.#view = { ...this.#view, layer: "prediction" };
      await this.#draw();
    }
    byId("status").textContent = `Done: ${ids.length === 1 ? ids[0]! : `${ids.length} cases`}.`;
  }

  /** Runs long work that can be cancelled; meanwhile the images and networks cannot be changed. */
  async #busily<T>(work: (report: (progress: Progress) => void) => Promise<T>): Promise<T> {
    this.#cancelled = false;
    this.#setBusy(true);
    try {
      return await work(proxy((progress: Progress) => this.#showProgress(progress)));
    } finally {
      this.#setBusy(false);
      byId("status").textContent = "";
    }
  }

  /** Draws when the drawing before is done; an error clears the panes, which could show another case. */
  #draw(): Promise<void> {
    const drawn = this.#drawn.then(() => this.#drawNow());
    this.#drawn = drawn.catch(() => clearPanes());
    return drawn;
  }

  async #drawNow(): Promise<void> {
    const { rows } = this.#cases;
    const ids = casesIn(rows);
    const id = ids.includes(this.#view.case) ? this.#view.case : ids[0];
    const modalities = id === undefined ? [] : modalitiesOf(rows, id);
    if (id === undefined || !modalities.length) return clearPanes();
    let { modality, layer } = this.#view;
    if (!modalities.includes(modality)) modality = modalities.at(-1)!;
    const known = this.#cases.convention !== null;
    const reference = known && rows.some((row) => row.case === id && row.role === "label");
    const results = this.#results.filter((result) => result.case === id);
    if (!results.length && layer !== "none") layer = reference ? "reference" : "none";
    const view = (this.#view = { case: id, modality, layer });
    const volume = await this.#engine.volume(this.#study(), id, modality);
    const panes = [];
    for (const { model } of results)
      panes.push({ title: model, volume, overlay: await this.#overlay(view, model) });
    if (!panes.length) panes.push({ title: id, volume, overlay: await this.#overlay(view, "") });
    this.#showNumbers(results);
    const choices = { ...view, cases: ids, modalities, reference, predicted: results.length > 0 };
    showControls(choices, (chosen) => void attempt(() => this.#look(chosen, view)));
    await showPanes(panes, () => void this.#draw().catch(showError));
  }

  /** Shows numbers and downloads, which do not need a working viewer. */
  #showNumbers(results: readonly Result[]): void {
    const view = this.#view;
    byId("results").hidden = !results.length;
    if (!results.length) return;
    const map = /\d/.test(view.layer)
      ? {
          name: `similarity: ${CLASS_NAMES[Number(view.layer)]!}`,
          save: ({ model }: Result) => void attempt(() => this.#saveMap(view, model)),
        }
      : null;
    const labels = (result: Result) => void attempt(() => this.#save(result));
    showResults(byId("result-tables"), results, { labels, map });
  }

  /** Shows the user's choice; if that fails, the one before. */
  async #look(chosen: Chosen, before: Chosen): Promise<void> {
    this.#view = chosen;
    try {
      await this.#draw();
    } catch (error) {
      this.#view = before;
      await this.#draw();
      throw error;
    }
  }

  async #overlay({ case: id, layer }: Chosen, model: string): Promise<Overlay> {
    if (layer === "none") return null;
    const study = this.#study();
    if (layer === "reference") return { kind: "classes", file: await this.#engine.reference(study, id) };
    if (layer === "prediction") {
      return { kind: "classes", file: await this.#engine.prediction(study, id, model, "classes") };
    }
    const key = JSON.stringify([id, model]);
    const maps =
      this.#maps.get(key) ?? (await this.#busily((report) => this.#engine.similarity(id, model, report)));
    this.#maps.set(key, maps);
    return { kind: "cosines", file: maps[Number(layer)]! };
  }

  async #saveMap(view: Chosen, model: string): Promise<void> {
    const overlay = await this.#overlay(view, model);
    const name = CLASS_NAMES[Number(view.layer)]!;
    if (overlay) download(overlay.file, fileName(view.case, model, `similarity_${name}`));
  }

  async #save({ case: id, model }: Result): Promise<void> {
    const bytes = await this.#engine.prediction(this.#study(), id, model, "labels");
    download(bytes, fileName(id, model));
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
    for (const id of ["images", "networks"]) byId<HTMLFieldSetElement>(id).disabled = busy;
    this.#update();
  }

  #showProgress({ what, done, all }: Progress): void {
    if (!this.#busy) return; // a late message
    const bar = byId<HTMLProgressElement>("progress");
    bar.value = done / Math.max(1, all);
    byId("status").textContent = `${what}, ${done} of ${all}`;
  }
}
