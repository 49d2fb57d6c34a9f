// The active mutant of the modules: see script.ts. Imported before the modules, since some mutants act when
// their module
// is loaded: their number is the process's argument.

declare global {
  var mutated: (id: number) => boolean;
}

export const state = {
  active: Number(process.argv[2] ?? NaN),
  /** The mutants whose code has run. */
  reached: new Set<number>(),
};

globalThis.mutated = (id) => {
  state.reached.add(id);
  return id === state.active;
};
