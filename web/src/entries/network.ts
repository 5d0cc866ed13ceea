import { hosts } from "../index.ts";
import sheet from "../levels/network.css";
import { NetworkLevel } from "../levels/network.tsx";
import training from "../parts/training.css";

export { kit } from "../controls.ts";
export const { show, file } = hosts(NetworkLevel, training, sheet);
