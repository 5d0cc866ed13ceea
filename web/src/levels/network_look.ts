// What is looked at in the network, and the addresses of what can be pointed at.
import type { ReadonlySignal, Signal } from "../signals.ts";
import type { Frame, Network } from "../types.ts";

export type Mode = "forward" | "backward" | "update";

/** A unit (`i` −1), or the edge into unit `o` of layer `l` from unit `i` of the layer before (its size: the bias). */
export interface Spot {
  l: number;
  o: number;
  i: number;
}

export interface Look {
  frame: ReadonlySignal<Frame>;
  mode: Signal<Mode>;
  example: Signal<number>;
  over: Signal<Spot | null>;
}

/** The address of a spot without @step; "" where there is none. */
export function nameOf(net: Network, { l, o, i }: Spot, { frame, example }: Look): string {
  if (i < 0) return (frame.value.unit ?? net.unit)[l]!.replace("{e}", String(example.value)).replace("{u}", String(o));
  const { weight, bias } = net.layers[l - 1]!;
  return i < net.sizes[l - 1]! ? `${weight}[${o},${i}]` : bias && `${bias}[${o}]`;
}

/** The addresses whose numbers tell about a spot; the last one is what a click asks. */
export function addressesOf(net: Network, spot: Spot, look: Look): string[] {
  const { step } = look.frame.value;
  const mode = spot.i < 0 ? "unit" : look.mode.value;
  const name = nameOf(net, spot, look);
  const at = (n: number) => name + (n < 0 ? "@init" : `@${n}`);
  if (!name || (step < 0 && (mode === "unit" || mode === "backward"))) return [];
  if (mode === "backward") return [`${name}.grad@${step}`];
  return mode === "update" && step >= 0 ? [at(step - 1), at(step)] : [at(step)];
}

/** A spot in words. */
export function wordsOf(net: Network, { l, o, i }: Spot): string {
  const last = net.sizes.length - 1;
  const unit = (layer: number, at: number) =>
    (layer ? (layer < last ? `layer ${layer} unit ${at}` : net.sizes[last] === 1 ? "output" : `output ${at}`) : net.inputs[at])!;
  if (i < 0) return unit(l, o);
  return i < net.sizes[l - 1]! ? `weight, ${unit(l - 1, i)} to ${unit(l, o)}` : `bias of ${unit(l, o)}`;
}

const FIELDS = {
  forward: ["weights", "biases"],
  backward: ["gradients", "biasGradients"],
  update: ["updates", "biasUpdates"],
} as const;

/** The sizes that edges show, for drawing: null where this frame has none. */
export function sizesOf(frame: Frame, mode: Mode): { w: number[][]; b: number[][]; scale: number } | null {
  const [weights, biases] = FIELDS[mode];
  const w = frame[weights];
  return w && { w, b: frame[biases] ?? [], scale: frame.scale[weights] || 1 };
}
