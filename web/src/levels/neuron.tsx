// One neuron: x → (w, b) → ŷ → loss with the numbers of one step on it, the gradients under them, and what the update did.
import { useEffect } from "preact/hooks";
import { Curve } from "../parts/curve.tsx";
import { Num, Sentence } from "../parts/num.tsx";
import { SMALL, UpdateLine } from "../parts/numberline.tsx";
import { playOf, useControls } from "../parts/play.ts";
import { Player } from "../parts/player.tsx";
import { placeOf } from "../parts/steps.ts";
import { TableView } from "../parts/table.tsx";
import { Why } from "../parts/why.tsx";
import { useComputed, useSignal } from "../signals.ts";
import { useStore } from "../store.ts";
import type { LiveState, Neuron, NeuronStep, Node, Page } from "../types.ts";

const RIGHT = "M2 8H34M28 2l8 6-8 6";
const LEFT = "M38 8H6M12 2L4 8l8 6";

type Part = keyof NeuronStep["addresses"];

const ROLES: Record<Part, string> = {
  x: "input",
  w: "weight before the update",
  b: "bias before the update",
  y: "output",
  target: "target",
  loss: "loss",
  wGrad: "gradient of the weight",
  bGrad: "gradient of the bias",
  wNew: "weight after the update",
  bNew: "bias after the update",
};

export function NeuronLevel({ page }: { page: Page }) {
  const store = useStore();
  const neuron = page.neuron!;
  const Settings = useControls()?.Settings;
  const at = neuron.steps[placeOf(neuron.steps, store.step.value)];
  return (
    <div class="neuron">
      <Player />
      {Settings && <Settings />}
      {at && (
        <>
          <Diagram neuron={neuron} at={at} />
          <div class="says">
            {at.sentences.map((said, i) => (
              <div key={i}>
                <Sentence said={said} />
                {!i && (
                  <button class="main" onClick={(e) => void store.ask(at.addresses.wNew, -1, e.currentTarget)}>
                    Why?
                  </button>
                )}
              </div>
            ))}
          </div>
        </>
      )}
      <Why />
      <Tables page={page} neuron={neuron} live={page.live} />
    </div>
  );
}

/** Left to right what the forward pass did, right to left the backward pass, and under each parameter its update. */
function Diagram({ neuron, at }: { neuron: Neuron; at: NeuronStep }) {
  const { step } = useStore();
  const Knob = useControls()?.Knob;
  const look = useComputed(() => ({ step: step.value }));
  const num = (part: Part) => <Num address={at.addresses[part]} text={at[part]} label={ROLES[part]} />;
  const formula = neuron.b ? "w·x + b" : "w·x";
  const box = (part: "x" | "y" | "loss" | "target", name: string, knob?: boolean) => (
    <div class={`box at-${part}`}>
      <i>{name}</i>
      {num(part)}
      {knob && Knob && <Knob name={part} range={[-3, 3]} />}
    </div>
  );
  const column = (name: "w" | "b") => (
    <div class="column">
      <i>{name}</i>
      {num(name)}
      <i class="neg">∂loss/∂{name}</i>
      <span class="neg">{num(`${name}Grad`)}</span>
      <i>
        new {name} {at.lost.includes(name) && <b class="neg">lost</b>}
      </i>
      {num(`${name}New`)}
    </div>
  );
  return (
    <section class="diagram" aria-label={`The neuron in step ${at.step}`}>
      {box("x", "x", true)}
      <Arrow d={RIGHT} />
      <div class="box both">
        {column("w")}
        {neuron.b && column("b")}
      </div>
      <Arrow d={RIGHT} />
      {box("y", `ŷ = ${neuron.activation ? `${neuron.activation}(${formula})` : formula}`)}
      <Arrow d={RIGHT} />
      {box("loss", "loss")}
      <Arrow d={LEFT} />
      {box("target", "target", true)}
      <div class="gradients neg">
        <Arrow d={LEFT} />
        backward
      </div>
      <div class="moved">
        <Moved at={at} />
        {neuron.steps.length > 1 && (
          <figure>
            <Curve frame={look} />
            <figcaption class="dim">loss, step by step</figcaption>
          </figure>
        )}
      </div>
    </section>
  );
}

function Arrow({ d }: { d: string }) {
  return (
    <svg class="to" viewBox="0 0 40 16" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}

/** An update against half the spacing of numbers, where it is as small as that: the weight's, or the bias's where that one
 * was lost. Not asked for while the training runs. */
function Moved({ at }: { at: NeuronStep }) {
  const store = useStore();
  const found = useSignal<Node | undefined>(undefined);
  const running = playOf(store).playing.value;
  const address = at.addresses[at.lost[0] === "b" ? "bNew" : "wNew"];
  const { live } = store.page.value;
  useEffect(() => {
    let on = !running;
    if (on) {
      const answer = store.host.ask("why", { address });
      answer.then(({ nodes }) => on && (found.value = nodes.find((each) => each.address === address))).catch(() => 0);
    }
    return () => void (on = false);
  }, [address, running, live]);
  const node = found.value;
  const update = node?.address === address ? node.line?.update : null;
  return update && update.share < SMALL ? (
    <div class="line">
      <UpdateLine update={update} />
    </div>
  ) : null;
}

function Tables({ page, neuron, live }: { page: Page; neuron: Neuron; live: LiveState | null }) {
  const { goto } = playOf(useStore());
  // The diagram goes where one asks in the table.
  const follow = (event: Event): void => {
    const step = (event.target as HTMLElement).dataset["address"]?.split("@")[1];
    if (step) goto(Number(step));
  };
  const parts = live?.parts;
  const other = live?.other;
  const mark = (address: string, step: number): string | undefined => {
    const at = neuron.steps[placeOf(neuron.steps, step)];
    if (at?.lost.some((name) => at.addresses[`${name as "w" | "b"}New`] === address)) return "update lost to rounding";
    return parts?.sentence.some((each) => each[0] === address) ? "the formats part" : undefined;
  };
  return (
    <>
      {parts && <Sentence said={parts.sentence} />}
      <div class="two" onClick={follow}>
        <div>
          {other && <h2>{String(live.config.format)}</h2>}
          <TableView table={page.table} mark={mark} onStep={goto} />
        </div>
        {other && (
          <div>
            <h2>{other.format}</h2>
            <TableView table={other.table} label={other.format} onStep={goto} />
          </div>
        )}
      </div>
    </>
  );
}
