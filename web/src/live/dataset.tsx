// What a network learns from (datasets to choose, inputs made of x1 and x2, a learner's own points), and how large it is.
import type { ComponentType } from "preact";
import type { ChipsProps } from "../controls.ts";
import { kit } from "./kit.ts";
import { Knob } from "./knobs.tsx";
import { trainingOf } from "./training.ts";

export function Dataset({ Chips }: { Chips: ComponentType<ChipsProps> }) {
  const store = kit.useStore();
  const text = kit.useSignal("");
  const { configure, adding } = trainingOf(store);
  const { config, choices } = store.page.value.live!;
  const features = String(config.features).split(",");
  const turn = (name: string) => {
    const next = choices.features!.map(String).filter((each) => (each === name) !== features.includes(each));
    if (next.length) configure({ features: next.join() });
  };
  return (
    <section class="data" aria-label="Data">
      <h2>data</h2>
      <Chips
        label="dataset"
        names={choices.dataset!.filter((name) => name !== "own" || config.dataset === name)}
        on={(name) => config.dataset === name}
        go={(name) => configure({ dataset: name })}
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
        <button disabled={!text.value} onClick={() => configure({ csv: text.value })}>
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

/** Two buttons: less and more. */
export function Sizes({ l }: { l?: number }) {
  const store = kit.useStore();
  const { config, choices } = store.page.value.live!;
  const { configure, config: now } = trainingOf(store);
  const sized = (hidden: number[], by: number) => {
    if (l) return hidden.map((each, n) => (n === l - 1 ? each + by : each));
    return by < 0 ? hidden.slice(0, -1) : [...hidden, hidden.at(-1) ?? 2];
  };
  const press = (by: number) => {
    const words = `one ${l ? "unit" : "layer"} ${by < 0 ? "less" : "more"}${l ? ` in layer ${l}` : ""}`;
    const to = sized(config.hidden as number[], by);
    return (
      <button
        aria-label={words}
        title={words}
        disabled={!choices[l ? "units" : "layers"]?.includes(l ? to[l - 1]! : to.length)}
        onClick={() => configure({ hidden: sized(now().hidden as number[], by) })}
      >
        {by < 0 ? "−" : "+"}
      </button>
    );
  };
  return (
    <span class="sizes">
      {press(-1)} {press(1)}
    </span>
  );
}
