// A small network on one screen, read left to right: data → inputs → layers → output; every weight and unit can be asked.
import { useMemo } from "preact/hooks";
import type { ChipsProps } from "../controls.ts";
import { Boundary } from "../parts/boundary.tsx";
import { Curve } from "../parts/curve.tsx";
import { Graph, MOST_EDGES } from "../parts/graph.tsx";
import { Num, Sentence } from "../parts/num.tsx";
import { playOf, useControls } from "../parts/play.ts";
import { Player } from "../parts/player.tsx";
import { placeOf } from "../parts/steps.ts";
import { TableView } from "../parts/table.tsx";
import { Why } from "../parts/why.tsx";
import { computed, signal, useSignal, useSignalEffect } from "../signals.ts";
import { type Store, useStore } from "../store.ts";
import type { Network, Page } from "../types.ts";
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
  const { sizes } = net;
  const { training } = play;
  const { Settings, Dataset } = useControls() ?? {};
  const shape = JSON.stringify([sizes, net.layers, net.inputs, net.unit]);
  const look = useMemo(() => createLook(store), []);
  const rows = useSignal(false);
  // The frames go by in `look`; what draws them is made once a network.
  const graph = useMemo(() => <Graph key={shape} net={net} look={look} />, [shape]);
  useSignalEffect(() => {
    if (look.example.value >= store.page.value.network!.examples) look.example.value = 0;
    play.extra.value = { pictures: true, show: look.mode.value, example: look.example.value };
  });
  const { loss, testLoss, lossAddress, output, sentence } = look.frame.value;
  return (
    <div class="net">
      <div class="top">
        <Player />
        <Curve frame={look.frame} />
        <p>
          {lossAddress && ["loss ", <Num address={lossAddress} text={loss} label="loss of the batch" />]}
          {testLoss && <span class="dim">on test points <code>{testLoss}</code></span>}
        </p>
      </div>
      {Settings && <Settings />}
      <div class={Dataset ? "stage live" : "stage"}>
        {Dataset && <Dataset Chips={Chips} />}
        <section aria-label="Network">
          <Modes look={look} />
          <Heads net={net} />
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
          <Sentence said={sentence} />
        </section>
        {output && (
          <Boundary
            net={net}
            look={look}
            points={net.points}
            add={training?.adding.value ? training.add : undefined}
          />
        )}
        <Why />
      </div>
      {!training && page.story.map((said) => <Sentence said={said} />)}
      <details onToggle={(event) => (rows.value = event.currentTarget.open)}>
        <summary>table of steps</summary>
        {rows.value && <TableView table={page.table} onStep={play.goto} />}
      </details>
    </div>
  );
}

/** What lines show. */
function Modes({ look: { mode, frame } }: { look: Look }) {
  const store = useStore();
  const play = playOf(store);
  const Sizes = useControls()?.Sizes;
  const choose = (next: string) => {
    mode.value = next as Mode;
    if (!sizesOf(frame.peek(), next as Mode) && store.page.peek().live?.step && !play.playing.peek()) play.goto(store.step.peek());
  };
  return (
    <>
      <div class="modes">
        <Chips label="What lines show" names={Object.keys(MODES)} on={(name) => name === mode.value} go={choose} />
        {Sizes && <span>hidden layers <Sizes /></span>}
      </div>
      <p class="dim">
        {sizesOf(frame.value, mode.value) ? `${MODES[mode.value]} Dashed: below zero. A click on one asks why.` : `Nothing to show for ${mode.value} here.`}
      </p>
    </>
  );
}

/** A head over each layer. */
function Heads({ net }: { net: Network }) {
  const Sizes = useControls()?.Sizes;
  const last = net.sizes.length - 1;
  return (
    <div class="of">
      {net.sizes.map((_, l) => (
        <p>
          <b>{l ? (l < last ? `layer ${l}` : "output") : "inputs"}</b>
          <span class="dim">{net.layers[l - 1]?.activation}</span>
          {Sizes && l > 0 && l < last && <Sizes l={l} />}
        </p>
      ))}
    </div>
  );
}

/** Names to press; those that are on stay pressed. */
function Chips({ label, names, on, go }: ChipsProps) {
  return (
    <div class="chips" role="group" aria-label={label}>
      {(names as string[]).map((name) => (
        <button aria-pressed={on(name)} onClick={() => go(name)}>{name}</button>
      ))}
    </div>
  );
}
