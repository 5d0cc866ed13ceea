import { hosts } from "../index.ts";
import sheet from "../levels/network.css";
import { NetworkLevel } from "../levels/network.tsx";

export const { show, file } = hosts(NetworkLevel, sheet);
