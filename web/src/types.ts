// What Python hands to the page. Every text that a person reads as a number is a string made in Python; what is a
// `number` here is geometry (a width, a place on a line), never shown as text.
// The Python side is src/whygrad/view/page*.py; tests compare the two.
import type { Controls } from "./controls.ts";

/** Text, or [operand, text]: a number or name of the equation that can be asked, where operand is an index of `operands`. */
export type Token = string | [number, string];

/** Text, or [address, text]: a number in a sentence that can be asked. */
export type Said = string | [string, string];

export type Sign = "same" | "replayed" | "opaque" | "differs" | "given" | "unasked";

export interface Equation {
  left: string;
  symbolic: Token[];
  numeric: Token[];
  result: string;
  note: string; // which branch was taken; "" where there is none
  mathml: string; // the symbolic line, presentation MathML without the <math> element around it
  latex: string;
}

/** A number among its neighbours: strings to be read, places to draw. Places count in units of the spacing above `value`. */
export interface NumberLine {
  below: string; // the neighbour below in the number's own format
  above: string;
  belowAt: number; // place of `below` (−1; −0.5 at a power of two, −2 at a negative one); `above` stands at 1, the value at 0
  exact: string; // the equation's result before rounding (≈ where cut); "" where nothing was rounded
  exactAt: number; // its place
  spacing: string; // the spacing of numbers here
  update: Update | null; // for a weight after an update
}

/** A weight's update, drawn against half the spacing: what is smaller is rounded away. */
export interface Update {
  old: string;
  size: string; // the update that was asked for (with its sign, behind ≈ where digits were cut)
  half: string; // half the spacing of numbers at `old`
  share: number; // |update| ÷ half
  lost: boolean;
  sentence: string;
}

/** One number and its equation. `operands` are addresses; the host has their nodes, or can get them. */
export interface Node {
  address: string;
  label: string; // its short name inside equations: ∂loss/∂w
  value: string; // the shortest decimal that reads back
  exact: string; // every digit
  role: string; // in words
  kind: string; // parameter, gradient, input, target, activation, hyperparameter, constant, state
  format: string;
  bits: string; // sign|exponent|significand; "" for integers
  hex: string;
  sentence: string; // the whole of it, for a screen reader
  equation: Equation | null;
  verdict: { sign: Sign; words: string; rounding: string; how: string; reason: string };
  where: string[];
  notes: string[];
  operands: string[];
  more: boolean; // it has operands that were not gone into
  line: NumberLine | null;
  parts: Part[]; // of a gradient: what examples and paths contributed, the largest first
  python?: string; // the equation as a Python program, where the page carries it
}

export interface Part {
  by: string; // example, path
  label: string;
  amount: string;
  share: number; // −1 … 1 of the largest, for a bar
}

export interface TableColumn {
  short: string;
  name: string;
  kind: string;
  format: string;
  address: string; // without @step; "" for the step itself
}

export interface Table {
  columns: TableColumn[]; // without the step
  steps: number[];
  rows: (string | null)[][]; // a row a step of `steps`
  total: number; // steps in all
}

/** What the page begins with. */
export interface Page {
  version: 1;
  level: "neuron" | "network" | "run" | "why";
  why?: string; // of level "why": the address that the page begins with
  title: string;
  about: string[]; // torch version, threads, seed, script
  story: Said[][]; // what happened, a paragraph each
  leftOut: string[]; // what this page does not hold, and how to have it
  file: string; // the saved run's name, for commands to copy; "" when live
  steps: number[]; // the steps that can be asked
  table: Table;
  neuron: Neuron | null;
  network: Network | null;
  run: RunMap | null;
  live: LiveState | null; // knobs, where there are any
  nodes?: unknown; // packed nodes (see host/unpack.ts), in a saved page
}

// ---- one neuron

export interface Neuron {
  /** Addresses without @step. */
  x: string;
  w: string;
  b: string;
  y: string;
  target: string;
  loss: string;
  activation: string; // "" for none
  /** A column per quantity and kept step, strings; `before` is the value the step began with. */
  steps: NeuronStep[];
}

export interface NeuronStep {
  step: number;
  x: string;
  w: string; // before the update
  b: string;
  y: string;
  target: string;
  loss: string;
  wGrad: string;
  bGrad: string;
  wNew: string;
  bNew: string;
  addresses: Record<"x" | "w" | "b" | "y" | "target" | "loss" | "wGrad" | "bGrad" | "wNew" | "bNew", string>;
  sentences: Said[][]; // the weight moved from … to …
  lost: string[]; // of "w", "b": whose update was lost
}

// ---- a small network

export interface Network {
  sizes: number[]; // units a layer, inputs first
  inputs: string[]; // names of the inputs
  layers: { weight: string; bias: string; activation: string }[]; // parameter names; "" where there is no bias
  unit: string[]; // address of a unit's output without @step, a pattern a layer with {e} example and {u} unit; inputs first
  examples: number; // in the batch
  bounds: [number, number, number, number]; // of the pictures, in input space: x1 from, to, x2 from, to; for drawing
  points: Points | null;
  frames: Frame[]; // saved page: some steps; live: the current one
}

export interface Points {
  x: number[]; // places for drawing, −1 … 1 of the bounds
  y: number[];
  label: number[]; // −1 … 1, for colour
  test: number; // the last so many are held back
}

/**
 * The network at one step. Arrays of numbers are for drawing; strings are asked for with `values`.
 * Weights and pictures are those after the step's update (address `…@step`; step −1 is before the first: `…@init`),
 * gradients, updates and the outputs of units are those of this step.
 */
export interface Frame {
  step: number;
  unit?: string[]; // as Network.unit, where the units go by other names in this step (op16 here, op4 later)
  batch?: number[]; // the batch's examples as indices of `points`, in the batch's order
  loss: string;
  testLoss: string; // "" where there is none
  lossAddress: string;
  weights: number[][]; // a layer each, row-major [out][in]
  biases: number[][];
  gradients: number[][] | null;
  biasGradients: number[][] | null;
  updates: number[][] | null;
  biasUpdates: number[][] | null;
  scale: { weights: number; gradients: number; updates: number }; // the largest size of each
  pictures: string[][]; // a layer of `sizes` each, inputs first, a unit each: base64 of side² int8, row by row from the top
  side: number; // of a unit's picture
  output: string; // the output's picture, large
  outputSide: number;
  legend?: [string, string, string]; // the outputs that −127, 0 and 127 of the output's picture stand for
  sentence: Said[];
}

// ---- a practitioner's run

export interface RunMap {
  modules: Module[]; // depth first
  tensors: Tensor[];
  flags: Flag[];
  steps: number[]; // of the sparklines
  loss: Spark;
  note?: string; // which steps can be looked at, and which option keeps more
  tiles?: Tile[]; // of a saved page: the tiles that it holds
}

export interface Module {
  path: string; // "" is the whole model
  depth: number;
  kind: string; // the module's class, where it is known
  tensors: number[]; // indices of `tensors` directly in it
  numel: string;
}

/** A parameter, or an activation, of the run. */
export interface Tensor {
  name: string;
  role: string; // parameter, activation
  shape: number[];
  format: string;
  numel: string;
  sparks: Record<"gradNorm" | "updateRatio" | "lost" | "nonfinite", Spark | null>;
  steps: number[]; // whose values can be looked at
}

export interface Spark {
  points: (number | null)[]; // 0 … 1, for drawing
  first: string;
  last: string;
  low: string;
  high: string;
  note: string; // "" or why there is nothing, and which option keeps it
}

export interface Flag {
  kind: string; // lost updates, non-finite, underflow, exact zero
  text: Said[];
  address: string; // a concrete scalar to ask
  step: number;
}

/** A look at a tensor: a tile of cells, each one element or the largest in size of many. */
export interface Tile {
  name: string;
  what: "value" | "grad" | "update";
  step: number;
  shape: [number, number]; // of the whole, as a matrix
  row: number; // the tile's first row and column, in elements
  column: number;
  perCell: [number, number]; // elements a cell, down and across
  rows: number; // cells
  columns: number;
  cells: string; // base64 int8, colour: −127 … 127; −128 is not finite
  scale: string; // what 127 stands for
  texts: string[] | null; // the numbers, where a cell is one element and there are few
  addresses: string; // pattern with {r} and {c}: an element's address
  top: { address: string; value: string }[]; // the largest in size of the whole tensor
  note: string;
  dims?: number[]; // the tensor's own shape
  fold?: [number[], number[]]; // the sizes that a row, and a column, counts through: {r} stands for one number each of them
  zoom?: number; // 0 the whole …
  deepest?: number; // … to this one, whose cells have texts
}

// ---- live

export interface LiveState {
  config: Config;
  choices: Record<string, (string | number)[]>; // what each knob may be
  limits: Record<string, [number, number]>; // of sliders
  step: number; // steps done so far
  parts: { step: number; sentence: Said[] } | null; // where two formats part
  other: { format: string; table: Table } | null; // the second format beside the first; its addresses begin with `format:`
  code: string; // the same training as a Python program
}

export type Config = Record<string, string | number | boolean | null | number[] | number[][]>;

// ---- what a host answers

export interface Asks {
  /** The node of an address and the nodes within `depth` operands below it. */
  why: { in: { address: string; depth?: number }; out: { nodes: Node[] } };
  /** A node as text to copy. */
  copy: { in: { address: string; as: "latex" | "python" | "text" }; out: { text: string } };
  /** Strings of addresses, to show under a pointer. */
  values: { in: { addresses: string[] }; out: { values: (string | null)[] } };
  tile: {
    in: { name: string; what: string; step: number; row: number; column: number; zoom: number };
    out: Tile;
  };
  /** Where element number `place` (or "[i,j]") of a tensor is. */
  goto: { in: { name: string; index: string; what?: string; step?: number }; out: { address: string; row: number; column: number } };
  /** Live only: new knobs (all of the page comes back), one frame of training, a step back or to. */
  configure: { in: { config: Config }; out: Page };
  advance: { in: { steps: number; budget: number; pictures: boolean; show: string; example: number }; out: Advance };
  /** `step`: so many steps are done then, as in `Advance`; the frame's own `step` is one less. */
  seek: { in: { step: number; show: string; example: number }; out: Advance };
  set: { in: { address: string; value: string }; out: Page };
}

export interface Advance {
  step: number;
  steps: number; // trained in this call
  table: Table; // rows that are new (all that changed)
  neuron: NeuronStep[]; // new ones
  frame: Frame | null;
  live: LiveState | null;
  story: Said[][];
}

export interface Host {
  kind: "file" | "live" | "notebook";
  page: Page;
  ask<K extends keyof Asks>(kind: K, what: Asks[K]["in"]): Promise<Asks[K]["out"]>;
  /** Where it may fall silent: `tell` is called with what to say of that, and with "" when it answers again. */
  trouble?(tell: (words: string) => void): void;
  /** Knocks again. */
  again?(): Promise<void>;
  /** What a live page adds to its level. */
  controls?: Controls;
}
