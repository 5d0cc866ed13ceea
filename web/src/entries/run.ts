import { hosts } from "../index.ts";
import sheet from "../levels/run.css";
import { RunLevel } from "../levels/run.tsx";

export const { show, file } = hosts(RunLevel, sheet);
