// What a person may turn: sliders and choices, in the words of LiveState. Python says what is allowed, and what it became.
import type { KnobProps } from "../controls.ts";
import { kit } from "./kit.ts";
import { trainingOf } from "./training.ts";

type Wanted = Omit<KnobProps, "name">;

const RATE: Wanted = { label: "learning rate", range: [0.0001, 10] };
const KNOBS: Record<string, Record<string, Wanted>> = {
  neuron: {
    format: {}, other: { label: "second format" }, optimizer: {}, activation: {}, lr: RATE, momentum: {},
    w: { label: "first w", range: [-3, 3] }, b: { label: "first b", range: [-3, 3] }, seed: {},
  },
  network: {
    lr: RATE, activation: {}, loss: {}, optimizer: {}, momentum: {}, batch: {}, init: {}, format: {}, seed: {},
    weight_decay: { label: "weight decay" },
  },
}; // prettier-ignore

/** The knobs of a level's training that are no number of its drawing. */
export function Settings() {
  const store = kit.useStore();
  const { level, live, neuron } = store.page.value;
  const [first] = neuron?.steps ?? [];
  const shown = Object.entries(KNOBS[level] ?? {}).filter(([name]) => name !== "momentum" || live?.config.optimizer === name);
  return (
    <div class="settings" role="group" aria-label="Settings">
      {shown.map(([name, wanted]) => (
        <Knob key={name} name={name} known={first?.[name as "w" | "b"]} {...wanted} />
      ))}
      <Share />
    </div>
  );
}

export function Knob({ name, label = name, known, range }: KnobProps) {
  const store = kit.useStore();
  const live = store.page.value.live;
  const value = live?.config[name];
  if (!live || value === undefined) return null;
  const set = (to: string | number | boolean | null) => trainingOf(store).configure({ [name]: to });
  const choices = live.choices[name];
  const [least, most] = live.limits[name] ?? [];
  const number = Number(value ?? known?.replace(/−/g, "-") ?? 0);
  return (
    <div class="knob">
      <span>{label}</span>
      {range && <Slider label={`${label}, slider`} range={range} value={number} set={set} />}
      {choices ? (
        <select aria-label={label} value={String(value)} onChange={(e) => set(choices[e.currentTarget.selectedIndex]!)}>
          {choices.map((each) => (
            <option value={String(each)}>{each || "none"}</option>
          ))}
        </select>
      ) : typeof value === "boolean" ? (
        <input type="checkbox" aria-label={label} checked={value} onChange={(e) => set(e.currentTarget.checked)} />
      ) : (
        <input
          type="number"
          step="any"
          min={least}
          max={most}
          aria-label={label}
          value={value === null ? "" : String(value)}
          placeholder={known}
          onChange={(e) => set(e.currentTarget.value === "" ? null : Number(e.currentTarget.value))}
        />
      )}
    </div>
  );
}

/** Stops at 1, 2, 5 and their tenfold where the range spans decades (the place is thrice the logarithm), else at tenths. */
function Slider(props: { label: string; range: [number, number]; value: number; set(to: number): void }) {
  const { label, range, value, set } = props;
  const decades = range[0] > 0 && range[1] < 11;
  const place = (number: number) => (decades ? Math.round(3 * Math.log10(number)) : number);
  const stop = (at: number) => (decades ? Number(`${[1, 2, 5][((at % 3) + 3) % 3]}e${Math.floor(at / 3)}`) : at);
  return (
    <input
      type="range"
      aria-label={label}
      aria-valuetext={String(value)}
      min={place(range[0])}
      max={place(range[1])}
      step={decades ? 1 : range[1] > 1 ? 0.1 : 0.01}
      value={place(value)}
      onInput={(e) => set(stop(Number(e.currentTarget.value)))}
    />
  );
}

/** What makes the state of a live page somebody else's: a link, a file, a Python program. */
function Share() {
  const { page } = kit.useStore();
  const said = kit.useSignal("");
  const live = page.value.live!;
  const copy = (text: string, what: string) =>
    navigator.clipboard.writeText(text).then(
      () => (said.value = `${what} copied`),
      () => (said.value = "the clipboard is not allowed here"),
    );
  const file = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(live.config, null, 1)], { type: "application/json" }));
    link.download = "state.json";
    link.click();
    URL.revokeObjectURL(link.href);
    said.value = "whygrad play state.json opens it";
  };
  return (
    <details class="share">
      <summary>Share</summary>
      <div>
        <button onClick={() => copy(location.href, "link")}>Copy link</button>
        <button onClick={file}>Save state</button>
        <button onClick={() => copy(live.code, "program")}>Copy as Python</button>
        <span role="status">{said.value}</span>
        <pre tabIndex={0} aria-label="The same training as a Python program">{live.code}</pre>
      </div>
    </details>
  );
}
