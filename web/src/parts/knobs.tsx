// What a person may turn: sliders and choices, in the words of LiveState. Python says what is allowed, and what it became.
import { useState } from "preact/hooks";
import { useStore } from "../store.ts";
import { playOf } from "./play.ts";

/** A knob by the name that the configuration gives it: a choice, a switch, or a number, with a slider over `range` (what is
 * allowed is mostly too wide for one). `known` is what holds while nothing was chosen. */
export function Knob(props: { name: string; label?: string; known?: string; range?: [number, number] }) {
  const { name, label = name, known, range } = props;
  const store = useStore();
  const live = store.page.value.live;
  const value = live?.config[name];
  if (!live || value === undefined) return null;
  const set = (to: string | number | boolean | null) => playOf(store).configure({ [name]: to });
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
  const decades = range[0] > 0;
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
export function Share() {
  const { page } = useStore();
  const [said, say] = useState("");
  const live = page.value.live;
  if (!live) return null;
  const copy = (text: string, what: string) =>
    navigator.clipboard.writeText(text).then(
      () => say(`${what} copied`),
      () => say("the clipboard is not allowed here"),
    );
  const file = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(live.config, null, 1)], { type: "application/json" }));
    link.download = "state.json";
    link.click();
    URL.revokeObjectURL(link.href);
    say("whygrad play state.json opens it");
  };
  return (
    <details class="share">
      <summary>Share</summary>
      <div>
        <button type="button" onClick={() => void copy(location.href, "link")}>Copy link</button>
        <button type="button" onClick={file}>Save state</button>
        <button type="button" onClick={() => void copy(live.code, "program")}>Copy as Python</button>
        <span role="status">{said}</span>
        <pre tabIndex={0} aria-label="The same training as a Python program">{live.code}</pre>
      </div>
    </details>
  );
}
