// What the network learns from: datasets to choose, inputs made of x1 and x2, and a learner's own points. Live only.
import { type Signal, useSignal } from "../signals.ts";
import { type Store, useStore } from "../store.ts";
import type { Config, LiveState, Network } from "../types.ts";
import { Knob } from "./knobs.tsx";
import { playOf } from "./play.ts";

/** Adds a point to one's own; the first one to what is there. Places are −1 … 1 of the plane. */
export function adder({ page }: Store, go: (change: Config) => void, { bounds }: Network, label: number) {
  const at = (place: number, k: 0 | 2) => Number((bounds[k] + ((place + 1) / 2) * (bounds[k + 1]! - bounds[k])).toFixed(2));
  const point = (x: number, y: number, its: number) => [at(x, 0), at(y, 2), its];
  return (x: number, y: number) => {
    const { live, network } = page.peek();
    const { dataset, points } = live!.config;
    const there = network!.points;
    const begun = dataset === "own" ? (points as number[][]) : there?.x.map((each, n) => point(each, there.y[n]!, there.label[n]!));
    go({ dataset: "own", points: [...(begun ?? []), point(x, y, label)] });
  };
}

interface Choice {
  label: string;
  names: readonly unknown[];
  on: (name: string) => boolean;
  go: (name: string) => void;
}

/** Names to press; those that are on stay pressed. */
export function Chips({ label, names, on, go }: Choice) {
  return (
    <div class="chips" role="group" aria-label={label}>
      {(names as string[]).map((name) => (
        <button type="button" aria-pressed={on(name)} onClick={() => go(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

export function Dataset({ live, adding }: { live: LiveState; adding: Signal<number> }) {
  const text = useSignal("");
  const { config, choices } = live;
  const set = playOf(useStore()).configure;
  const features = String(config.features).split(",");
  const turn = (name: string) => {
    const next = choices.features!.map(String).filter((each) => (each === name) !== features.includes(each));
    if (next.length) set({ features: next.join() });
  };
  return (
    <section class="data" aria-label="Data">
      <h2>data</h2>
      <Chips
        label="dataset"
        names={choices.dataset!.filter((name) => name !== "own" || config.dataset === name)}
        on={(name) => config.dataset === name}
        go={(name) => set({ dataset: name })}
      />
      <Knob name="samples" label="points" />
      <Knob name="noise" label="noise %" range={[0, 50]} />
      <Knob name="train" label="to train on %" range={[10, 90]} />
      <details>
        <summary>own points</summary>
        <textarea
          rows={4}
          aria-label="Own points"
          placeholder={"x1, x2, label\n1.5, 2, 1"}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <input
          type="file"
          aria-label="A CSV file of points"
          onChange={async (event) => (text.value = (await event.currentTarget.files?.[0]?.text()) ?? "")}
        />
        <button type="button" disabled={!text.value} onClick={() => set({ csv: text.value })}>
          Use these
        </button>
        <label>
          a click on the plane adds{" "}
          <select value={adding.value} onChange={(event) => (adding.value = Number(event.currentTarget.value))}>
            <option value={0}>nothing</option>
            <option value={1}>● 1</option>
            <option value={-1}>◆ −1</option>
          </select>
        </label>
      </details>
      <h2>inputs</h2>
      <Chips label="inputs" names={choices.features!} on={(name) => features.includes(name)} go={turn} />
    </section>
  );
}
