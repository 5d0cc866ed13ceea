// One tensor, looked into: value, gradient or update, at a step, as near as one likes.
import { useSignal } from "../signals.ts";
import { useEffect, useRef } from "preact/hooks";
import { useStore } from "../store.ts";
import type { Tensor, Tile } from "../types.ts";
import { Heat, elementAddress, elementIndex, elementPlace, isElement } from "./heat.tsx";
import { Num } from "./num.tsx";

/** Where one looks: the tensor's name, what of it, the step (−1: the last), the zoom, and the element in the corner. */
export interface Aim {
  name: string;
  what: Tile["what"];
  step: number;
  zoom: number;
  row: number;
  column: number;
  mark: number[] | null; // index of an element to be marked
}

export const WHAT: Record<Tile["what"], string> = { value: "value", grad: "gradient", update: "update" };
const HALF = [6, 1]; // rows and columns before what is looked for

export function Look({ tensor, aim, turn }: { tensor: Tensor; aim: Aim; turn: (to: Partial<Aim>) => void }) {
  const store = useStore();
  const tile = useSignal<Tile | null>(null);
  const problem = useSignal("");
  const ticket = useRef(0);
  const { name, shape, format, numel, role } = tensor;
  const { what, zoom, row, column, mark } = aim;
  const held = store.host.kind === "file" ? (store.page.value.run?.tiles ?? []).filter((each) => each.name === name) : null;
  const steps = held ? [...new Set(held.map((each) => each.step))] : tensor.steps;
  const step = steps.includes(aim.step) ? aim.step : steps[steps.length - 1];
  const say = (error: unknown): void => void (problem.value = error instanceof Error ? error.message : String(error));

  useEffect(() => {
    const mine = ++ticket.current;
    if (step === undefined)
      return say(tensor.steps.length ? "This page does not hold its numbers." : "No step was kept that has its numbers.");
    store.host.ask("tile", { name, what, step, row, column, zoom }).then(
      (found) => {
        if (mine !== ticket.current) return;
        tile.value = found;
        problem.value = "";
      },
      (error) => {
        if (mine !== ticket.current) return;
        if (tile.value?.what !== what) tile.value = null;
        say(error);
      },
    );
  }, [name, what, step, row, column, zoom]);

  const seen = tile.value;
  const deepest = seen?.deepest ?? 0;
  const at = Math.min(zoom, deepest);
  const nearer = (tile: Tile, to: number, r: number, c: number): void => {
    const [down, across] = to >= deepest ? HALF : [0, 0];
    turn({ zoom: to, row: Math.max(0, r - down!), column: Math.max(0, c - across!), mark: elementIndex(tile, r, c) });
  };
  const go = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const index = String(new FormData(event.currentTarget as HTMLFormElement).get("goto"));
    try {
      const found = await store.host.ask("goto", { name, index, what, step });
      if (!seen) return;
      nearer(seen, deepest, found.row, found.column);
      void store.ask(elementAddress(seen, found.row, found.column));
    } catch (error) {
      say(error);
    }
  };
  const button = (text: string, label: string, off: boolean, to: Partial<Aim>) => (
    <button aria-label={label} title={label} disabled={off} onClick={() => turn(to)}>{text}</button>
  );
  const tools = (tile: Tile) => {
    const down = Math.ceil(tile.rows / 2) * tile.perCell[0];
    const across = Math.ceil(tile.columns / 2) * tile.perCell[1];
    return (
      <div class="tools-row">
        {button("whole", "The whole tensor", !at, { zoom: 0, row: 0, column: 0 })}
        {button("−", "Farther", !at, { zoom: at - 1 })}
        {button("+", "Nearer", at >= deepest, { zoom: at + 1 })}
        {button("←", "Left", !tile.column, { column: Math.max(0, tile.column - across) })}
        {button("↑", "Up", !tile.row, { row: Math.max(0, tile.row - down) })}
        {button("↓", "Down", tile.row + tile.rows * tile.perCell[0] >= tile.shape[0], { row: tile.row + down })}
        {button("→", "Right", tile.column + tile.columns * tile.perCell[1] >= tile.shape[1], { column: tile.column + across })}
      </div>
    );
  };

  return (
    <section class="look" aria-label={`Tensor ${name}`}>
      <h2>
        {name} <small class="dim">{[shape.join(" × "), format, numel].filter(Boolean).join(" · ")}</small>
      </h2>
      <div class="tools-row">
        <fieldset class="tools-row" aria-label="what of it">
          {Object.entries(WHAT).map(([key, text]) => (key !== "update" || role === "parameter") && (
            <label>
              <input type="radio" name="what" checked={what === key} onChange={() => turn({ what: key as Aim["what"] })} /> {text}
            </label>
          ))}
        </fieldset>
        {steps.length > 1 && (
          <input
            type="range" aria-label="step" max={steps.length - 1} value={steps.indexOf(step!)} aria-valuetext={`step ${step}`}
            onInput={(event) => turn({ step: steps[+event.currentTarget.value]! })}
          />
        )}
        {step !== undefined && <span>after step {step}</span>}
      </div>
      {problem.value && <p class="problem" role="alert">{problem.value}</p>}
      {seen && (
        <>
          <Heat
            tile={seen} mark={mark && elementPlace(seen, mark)}
            pick={(r, c) => (isElement(seen) ? void store.ask(elementAddress(seen, r, c)) : nearer(seen, at + 1, r, c))}
          />
          <div class="tools-row scale" role="img" aria-label={`Colours run from minus to plus ${seen.scale}`}>
            <code>−{seen.scale}</code><i /><code>+{seen.scale}</code>
          </div>
          {seen.note && <p class="dim">{seen.note}</p>}
          {deepest > 0 && tools(seen)}
          <form class="tools-row" onSubmit={(event) => void go(event)}>
            <label>
              go to <input name="goto" aria-label="Index of an element" placeholder={shape.map(() => 0).join()} />
            </label>
            <button>go</button>
          </form>
          <details open>
            <summary>largest in size</summary>
            <ol class="top-k">
              {seen.top.map((each) => (
                <li><code class="dim">{each.address}</code> <Num address={each.address} text={each.value} label={each.address} /></li>
              ))}
            </ol>
          </details>
        </>
      )}
    </section>
  );
}
