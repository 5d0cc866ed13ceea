import { hosts } from "../index.ts";
import sheet from "../levels/neuron.css";
import { NeuronLevel } from "../levels/neuron.tsx";

export const { show, file } = hosts(NeuronLevel, sheet);
