import { hosts } from "../index.ts";
import sheet from "../levels/neuron.css";
import { NeuronLevel } from "../levels/neuron.tsx";
import training from "../parts/training.css";

export { kit } from "../controls.ts";
export const { show, file } = hosts(NeuronLevel, training, sheet);
