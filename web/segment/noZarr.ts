// Replaces zarrita, which NiiVue includes for images in clouds: the page reads only NIfTI files, and
// zarrita's decoders would add 1.4 MB to load before it works without a network. See vite.config.ts.

/** Stands for every function of zarrita that NiiVue imports. */
function refuse(): never {
  throw new Error("noZarr: expected a NIfTI file, got the address of a Zarr store");
}
export { refuse as FetchStore, refuse as get, refuse as open, refuse as root, refuse as slice };
