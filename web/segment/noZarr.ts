// In place of zarrita, which NiiVue brings for images in clouds: the page reads NIfTI files, and zarrita's decoders would
// be 1.4 MB of what has to be loaded before it works without a network. See vite.config.ts.

/** Whatever NiiVue would begin with. */
function refuse(): never {
  throw new Error("noZarr: expected a NIfTI file, got the address of a Zarr store");
}
export { refuse as FetchStore, refuse as get, refuse as open, refuse as root, refuse as slice };
