// A practitioner's run: what went wrong, the modules with their sparklines, one tensor to look into, and a why for each number.
import { useSignal } from "../signals.ts";
import { useMemo } from "preact/hooks";
import { type Aim, Look, WHAT } from "../parts/look.tsx";
import { Sentence } from "../parts/num.tsx";
import { SparkLine, sparkWords } from "../parts/spark.tsx";
import { Tree } from "../parts/tree.tsx";
import { Why } from "../parts/why.tsx";
import { useStore } from "../store.ts";
import type { Flag, Page, Tensor } from "../types.ts";

const FEW = 2; // flags that are shown at first, besides the first of each kind
const BEGIN: Aim = { name: "", what: "value", step: -1, zoom: 0, row: 0, column: 0, mark: null };

/** Whether what a URL says is an aim; it may throw. */
const sound = ({ what, step, zoom, row, column, mark }: Aim): boolean =>
  what in WHAT && [step, zoom, row, column, ...(mark ?? [])].every(Number.isInteger);

/** The tensor that an address names an element of. */
const tensorOf = (tensors: Tensor[], address: string): Tensor | undefined => {
  const name = address.replace(/(\[[^\]]*\]|\.grad|\.real|\.imag)*(@\w+)?$/, "");
  return tensors.find((tensor) => tensor.name === name);
};

export function RunLevel({ page }: { page: Page }) {
  const store = useStore();
  const map = page.run!;
  const aim = useSignal<Aim>(BEGIN);
  useMemo(() => store.remember("look", aim, sound), []);
  const flagged = useMemo(
    () => new Set(map.flags.flatMap((flag) => tensorOf(map.tensors, flag.address)?.name ?? [])),
    [map],
  );
  const first = [...flagged][0];
  const tensor = map.tensors.find((each) => each.name === (aim.value.name || first)) ?? map.tensors[0];
  const turn = (to: Partial<Aim>): void => void (aim.value = { ...aim.value, name: tensor?.name ?? "", ...to });
  const choose = (chosen: Tensor): void => turn({ ...BEGIN, name: chosen.name, what: chosen.role === "parameter" ? aim.value.what : "value", step: aim.value.step });
  const ask = (flag: Flag, from: HTMLElement): void => {
    const about = tensorOf(map.tensors, flag.address);
    const index = /\[([\d,]*)\]/.exec(flag.address.slice(about?.name.length))?.[1];
    const mark = index ? index.split(",").map(Number) : null;
    if (about) turn({ ...BEGIN, name: about.name, what: flag.address.includes(".grad") ? "grad" : "value", step: flag.step, mark });
    void store.ask(flag.address, -1, from);
  };

  return (
    <div class="run">
      {page.story.map((said) => <Sentence said={said} />)}
      <Flags flags={map.flags} ask={ask} />
      <section class="tools-row" aria-label="Loss">
        <h2>loss</h2>
        <SparkLine spark={map.loss} kind="wide" />
        <code>{sparkWords(map.loss)}</code>
      </section>
      {map.note && <p class="dim">{map.note}</p>}
      <div class="halves">
        <Tree map={map} flagged={[...flagged]} chosen={tensor?.name ?? ""} choose={choose} />
        <div>
          {tensor ? <Look key={tensor.name} tensor={tensor} aim={aim.value} turn={turn} /> : <p class="dim">This run has no tensors.</p>}
          <Why />
        </div>
      </div>
    </div>
  );
}

function Flags({ flags, ask }: { flags: Flag[]; ask: (flag: Flag, from: HTMLElement) => void }) {
  const all = useSignal(false);
  const shown = flags.filter((flag, i) => all.value || i < FEW || flags.findIndex((each) => each.kind === flag.kind) === i);
  if (!flags.length) return <p class="dim">Nothing was flagged: all is finite, and no tensor lost most of its updates.</p>;
  return (
    <section class="flags" aria-label="What went wrong">
      <h2>What went wrong</h2>
      <ul>
        {shown.map((flag) => (
          <li>
            <b class="flag">⚑ {flag.kind}</b>
            <Sentence said={flag.text} />
            {flag.address && (
              <button data-address={flag.address} aria-label={`Why? ${flag.address}`} onClick={(event) => ask(flag, event.currentTarget)}>
                Why?
              </button>
            )}
          </li>
        ))}
      </ul>
      {(all.value || shown.length < flags.length) && <button aria-expanded={all.value} onClick={() => (all.value = !all.value)}>{all.value ? "fewer" : `all ${flags.length}`}</button>}
    </section>
  );
}
