// Norm banks: each contrast has norms of its own, and all share the kernels. Dou et al., "Unpaired
// multi-modal segmentation via knowledge distillation", TMI 2020. A bank's tensors are named
// "bank.<contrast>.<name>"; under their plain names they make, with the kernels, an ordinary network of one
// contrast.

/** The part of a network that says which norms it has and uses. */
interface Banked {
  banks?: readonly string[];
  bank?: string;
}

const BANK = "bank.";

/** The prefix of a bank's tensors. */
export function bankPrefix(contrast: string): string {
  return `${BANK}${contrast}.`;
}

/** Returns the network with a contrast's norms; a network without banks as it is. */
export function withBank<N extends Banked>(network: N, contrast: string): N {
  return network.banks ? { ...network, bank: contrast } : network;
}

/** The network once for each of its banks; without banks, the network. */
export function everyBank<N extends Banked>(network: N): N[] {
  return network.banks?.map((contrast) => withBank(network, contrast)) ?? [network];
}

/**
 * The tensors of the ordinary network of one contrast: the kernels, and its norms under their plain names.
 */
export function mergedBank<T>(tensors: Readonly<Record<string, T>>, contrast: string): Record<string, T> {
  const own = bankPrefix(contrast);
  const kept = Object.entries(tensors).filter(([name]) => name.startsWith(own) || !name.startsWith(BANK));
  return Object.fromEntries(
    kept.map(([name, value]) => [name.startsWith(own) ? name.slice(own.length) : name, value]),
  );
}
