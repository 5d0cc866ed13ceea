// A small network on one screen, read left to right: data → inputs → layers → output; every weight and unit can be asked.
import { type ReadonlySignal, computed, signal, useSignal, useSignalEffect } from "../signals.ts";
import { useMemo, useRef } from "preact/hooks";
import { Boundary } from "../parts/boundary.tsx";
import { Chips, Dataset, adder } from "../parts/dataset.tsx";
import { Graph, MOST_EDGES } from "../parts/graph.tsx";
import { Knob, Share } from "../parts/knobs.tsx";
import { Num, Sentence } from "../parts/num.tsx";
import { placeOf, playOf } from "../parts/play.ts";
import { Player } from "../parts/player.tsx";
import { TableView } from "../parts/table.tsx";
import { Why } from "../parts/why.tsx";
import { type Store, useStore } from "../store.ts";
import type { LiveState, Network, Page } from "../types.ts";
import { type Look, type Mode, type Spot, sizesOf } from "./network_look.ts";

const MODES: Record<Mode, string> = {
  forward: "Lines are weights, which carry outputs to the right.",
  backward: "Lines are gradients of the loss, which come back from the right.",
  update: "Lines are what this step's update added to each weight.",
};
const MOST_UNITS = 200;
const FAST = 60; // steps a second that a live network begins with

function createLook(store: Store): Look {
  const { page, step, remember } = store;
  if (page.peek().live) playOf(store).speed.value = FAST;
  const mode = signal<Mode>("forward");
  const example = signal(0);
  remember("edges", mode, (found) => found in MODES);
  remember("example", example, (n) => n >= 0);
  const frame = computed(() => {
    const { frames } = page.value.network!;
    return frames[placeOf(frames, step.value)]!;
  });
  return { frame, mode, example, over: signal<Spot | null>(null) };
}

export function NetworkLevel({ page }: { page: Page }) {
  const store = useStore();
  const play = playOf(store);
  const net = page.network!;
  const { live } = page;
  const { sizes } = net;
  const shape = JSON.stringify([sizes, net.layers, net.inputs, net.unit]);
  const look = useMemo(() => createLook(store), []);
  const adding = useSignal(0);
  const rows = useSignal(false);
  // The frames go by in `look`; what draws them is made once a network.
  const graph = useMemo(() => <Graph key={shape} net={net} look={look} />, [shape]);
  useSignalEffect(() => {
    if (look.example.value >= store.page.value.network!.examples) look.example.value = 0;
    play.extra.value = { pictures: true, show: look.mode.value, example: look.example.value };
  });
  const { loss, testLoss, lossAddress, output, sentence } = look.frame.value;
  return (
    <div class={live ? "net live" : "net"}>
      <div class="top">
        <Player />
        <Curve frame={look.frame} />
        <p>
          loss {lossAddress && <Num address={lossAddress} text={loss} label="loss of the batch" />}
          {testLoss && <span class="dim">on test points <code>{testLoss}</code></span>}
        </p>
      </div>
      {live && <Settings live={live} />}
      <div class="stage">
        {live && <Dataset live={live} adding={adding} />}
        <section aria-label="Network">
          <Modes look={look} />
          <Heads net={net} live={live} />
          {sizes.reduce((sum, each) => sum + each) > MOST_UNITS ? <p>So many units are not drawn.</p> : graph}
          {sizes.some((n, l) => n * sizes[l - 1]! > MOST_EDGES) && <p>Of a large layer the largest weights are drawn.</p>}
          {net.examples > 1 && (
            <label>
              example of the batch{" "}
              <input
                type="number"
                min={0}
                max={net.examples - 1}
                value={look.example.value}
                onInput={({ currentTarget: { validity, valueAsNumber } }) => {
                  if (validity.valid && valueAsNumber >= 0) look.example.value = valueAsNumber;
                }}
              />
            </label>
          )}
        </section>
        {output && (
          <Boundary
            net={net}
            look={look}
            points={net.points}
            add={live && adding.value ? adder(store, play.configure, net, adding.value) : undefined}
          />
        )}
      </div>
      <Sentence said={sentence} />
      <Why />
      {!live && page.story.map((said) => <Sentence said={said} />)}
      <details onToggle={(event) => (rows.value = event.currentTarget.open)}>
        <summary>table of steps</summary>
        {rows.value && <TableView table={page.table} onStep={play.goto} />}
      </details>
    </div>
  );
}

/** The knobs of the training. */
function Settings({ live }: { live: LiveState }) {
  return (
    <div class="settings" role="group" aria-label="Settings">
      <Knob name="lr" label="learning rate" range={[0.0001, 10]} />
      {["activation", "loss", "optimizer", live.config.optimizer === "momentum" && "momentum", "batch", "init", "format", "seed"].map(
        (name) => name && <Knob key={name} name={name} />,
      )}
      <Knob name="weight_decay" label="weight decay" />
      <button type="button" onClick={playOf(useStore()).reset}>Reset</button>
      <Share />
    </div>
  );
}

/** What lines show. */
function Modes({ look: { mode, frame } }: { look: Look }) {
  const store = useStore();
  const play = playOf(store);
  const choose = (next: string) => {
    mode.value = next as Mode;
    if (!sizesOf(frame.peek(), next as Mode) && store.page.peek().live?.step && !play.playing.peek()) play.goto(store.step.peek());
  };
  return (
    <>
      <Chips label="What lines show" names={Object.keys(MODES)} on={(name) => name === mode.value} go={choose} />
      <p class="dim">
        {sizesOf(frame.value, mode.value) ? `${MODES[mode.value]} Dashed: below zero.` : `Nothing to show for ${mode.value} here.`}
      </p>
    </>
  );
}

/** A head over each layer; live with buttons for units and layers. */
function Heads({ net, live }: { net: Network; live: LiveState | null }) {
  const { configure } = playOf(useStore());
  const last = net.sizes.length - 1;
  const hidden = (live?.config.hidden as number[] | undefined) ?? [];
  const press = (words: string, name: string, at: number, to: number[]) => (
    <button
      type="button"
      aria-label={words}
      title={words}
      disabled={!live?.choices[name]?.includes(at)}
      onClick={() => configure({ hidden: to })}
    >
      {words.includes("less") ? "−" : "+"}
    </button>
  );
  const sized = (l: number, by: number) => hidden.map((each, n) => (n === l - 1 ? each + by : each));
  const units = (l: number, by: number, words: string) =>
    press(`one unit ${words} in layer ${l}`, "units", hidden[l - 1]! + by, sized(l, by));
  return (
    <>
      {live && (
        <p class="heads">
          hidden layers {press("one layer less", "layers", hidden.length - 1, hidden.slice(0, -1))}{" "}
          {press("one layer more", "layers", hidden.length + 1, [...hidden, hidden.at(-1) ?? 2])}
        </p>
      )}
      <div class="heads of">
        {net.sizes.map((_, l) => (
          <p>
            <b>{l ? (l < last ? `layer ${l}` : "output") : "inputs"}</b>
            <span class="dim">{net.layers[l - 1]?.activation}</span>
            {live && l > 0 && l < last && [units(l, -1, "less"), units(l, 1, "more")]}
          </p>
        ))}
      </div>
    </>
  );
}

/** The loss over the steps of the table; a mark at the frame's. */
export function Curve({ frame }: { frame: ReadonlySignal<{ step: number }> }) {
  const { page } = useStore();
  const line = useRef<SVGPathElement>(null);
  const mark = useRef<SVGPathElement>(null);
  // Drawn straight into its paths: it changes with every frame.
  useSignalEffect(() => {
    const { columns, steps, rows } = page.value.table;
    const at = columns.findIndex((each) => each.kind === "loss");
    const every = Math.ceil(rows.length / 160);
    const found = rows.flatMap((row, n): [number, number][] => {
      const value = n % every ? NaN : Number(row[at]?.replace("−", "-") ?? NaN);
      return Number.isFinite(value) ? [[steps[n]!, value]] : [];
    });
    const top = Math.max(...found.map((each) => each[1]), 0) || 1;
    const [first = 0, last = 1] = [steps[0], steps.at(-1)];
    const x = (step: number) => ((step - first) / (last - first || 1)) * 120;
    line.current!.setAttribute("d", found.map(([s, v], n) => `${n ? "L" : "M"}${x(s)} ${34 - (v / top) * 32}`).join(""));
    mark.current!.setAttribute("d", `M${x(frame.value.step)} 0V36`);
  });
  return (
    <svg class="curve" viewBox="0 0 120 36" preserveAspectRatio="none" aria-hidden="true">
      <path ref={mark} class="dashed" />
      <path ref={line} />
    </svg>
  );
}
