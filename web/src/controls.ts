// What a live page adds to its level: knobs, and the training behind them. It comes as a module of its own (entries/live.ts), so
// that a saved page does not carry what it cannot use; it draws with the level's own Preact, of which a page can have but one.
import { type ComponentType, h } from "preact";
import { type Signal, batch, effect, signal, useSignal } from "./signals.ts";
import { type Store, useStore } from "./store.ts";
import type { Config } from "./types.ts";

export const kit = { h, useStore, useSignal, batch, effect, signal };
export type Kit = typeof kit;

export interface Controls {
  sheet: string;
  train(store: Store, loop: Loop): Training;
  Settings: ComponentType;
  Knob: ComponentType<KnobProps>;
  /** What a network learns from; `Chips` are the level's. */
  Dataset: ComponentType<{ Chips: ComponentType<ChipsProps> }>;
  /** Buttons for one unit more or less in hidden layer `l`; for one layer, where it is not said. */
  Sizes: ComponentType<{ l?: number }>;
}

/** A knob by the name that the configuration gives it: a choice, a switch, or a number, with a slider over `range` (what is
 * allowed is mostly too wide for one). `known` is what holds while nothing was chosen. */
export interface KnobProps {
  name: string;
  label?: string | undefined;
  known?: string | undefined;
  range?: [number, number] | undefined;
}

/** Names to press; those that are on stay pressed. */
export interface ChipsProps {
  label: string;
  names: readonly unknown[];
  on: (name: string) => boolean;
  go: (name: string) => void;
}

/** What the training gets of the loop that plays it (parts/play.ts). */
export interface Loop {
  playing: Signal<boolean>;
  extra: Signal<{ pictures: boolean; show: string; example: number }>;
  /** One thing after the other; what goes wrong is said, and stops the loop. */
  doing(work: () => Promise<void>): void;
}

export interface Training {
  forward(steps: number): Promise<void>;
  look(step: number): Promise<void>;
  /** Other knobs: as many steps as before are trained again with them, and what was asked is asked again. */
  configure(change: Config): void;
  /** The knobs as they were turned last, though the server may not have answered yet. */
  config(): Config;
  /** All knobs as they were when the level began, and its first step. */
  reset(): void;
  /** The label that a click on the plane gives a new point; 0: it adds none. */
  adding: Signal<number>;
  /** Adds a point to one's own; the first one to what is there. Places are −1 … 1 of the plane. */
  add(x: number, y: number): void;
}
