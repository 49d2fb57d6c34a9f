// Which mutant of the modules is active: see script.ts. Imported before all of them, since some mutants act when
// their module is loaded: the number of such a one is the process's argument.

declare global {
  var mutated: (id: number) => boolean;
}

export const state = {
  active: Number(process.argv[2] ?? NaN),
  /** The mutants whose place was passed. */
  reached: new Set<number>(),
};

globalThis.mutated = (id) => {
  state.reached.add(id);
  return id === state.active;
};
