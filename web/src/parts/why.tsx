// The answer to a why, unfolded in place: a row `address = value  role`, under it the equation, what was checked, and a row
// for each operand, which unfolds again, down to the inputs. What is open is the trail, so the URL holds it.
import { useLayoutEffect, useRef } from "preact/hooks";
import { useStore } from "../store.ts";
import type { Node, Part } from "../types.ts";
import { Bits } from "./bits.tsx";
import { Copy } from "./copy.tsx";
import { Equation } from "./equation.tsx";
import { NumberLineView } from "./numberline.tsx";
import { MARKS, checked, remarks, roleOf } from "./text.ts";
import { Trail } from "./trail.tsx";

/** A level puts it where the answer is to unfold; on a wide screen it stands at the side instead, and this draws nothing. */
export function Why() {
  const store = useStore();
  useLayoutEffect(() => {
    store.places.value++;
    return () => void store.places.value--;
  }, []);
  return store.wide.value ? null : <Answer />;
}

/** The panel itself. `hint`: what it says before anything was asked. */
export function Answer({ hint }: { hint?: string }) {
  const store = useStore();
  const place = useRef<HTMLElement>(null);
  const [first] = store.trail.value;
  const wanted = store.focus.value;
  useLayoutEffect(() => {
    if (!wanted) return;
    const row = place.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(wanted)}"]`);
    row?.focus({ preventScroll: true });
    // The verdict first, then the row: where both do not fit, the row is what is seen.
    for (const each of [row?.closest("section")?.querySelector(".verdict"), row]) each?.scrollIntoView({ block: "nearest" });
    store.focus.value = "";
  });
  const near = [...store.trail.value, ...(store.nodes.value.get(store.asked.value)?.operands ?? [])];
  const lost = store.problem.value && !near.includes(store.about.value); // else it is said at the row that it is about
  if (!first && !lost && !hint) return null;
  return (
    <section class="why" aria-label="Why" ref={place}>
      {first && <button class="close" aria-label="Fold the answer" title="Esc" onClick={() => store.fold(0)}>×</button>}
      <h2>Why?</h2>
      {lost && <Problem />}
      {first ? <Trail /> : hint && !lost && <p class="dim">{hint}</p>}
      {first && <Unfolding address={first} at={0} />}
      <div class="sr" aria-live="polite">
        {store.nodes.value.get(store.asked.value)?.sentence}
      </div>
    </section>
  );
}

function Problem() {
  return <p role="alert" class="problem">{useStore().problem.value}</p>;
}

/** A row and, where the trail passes through it at `at`, what is under it. */
function Unfolding({ address, at }: { address: string; at: number }) {
  const store = useStore();
  const node = store.nodes.value.get(address);
  const open = store.trail.value[at] === address;
  return (
    <section>
      <h3>
        <button
          class="row"
          data-row={address}
          data-address={address}
          aria-expanded={open}
          onClick={(event) => (open ? store.fold(at) : void store.ask(address, at - 1, event.currentTarget))}
        >
          <b>{address}</b>
          {node && (
            <>
              {" = "}
              <b class="value">{node.value}</b> <span class="dim">{` ${roleOf(node)}`}</span>
            </>
          )}
        </button>
      </h3>
      {open && node && <Body node={node} at={at} />}
      {store.problem.value && store.about.value === address && <Problem />}
    </section>
  );
}

function Body({ node, at }: { node: Node; at: number }) {
  const store = useStore();
  const last = store.asked.value === node.address;
  const [mark, rest] = checked(node);
  const sign = node.verdict.sign;
  return (
    <div class="body">
      <Equation node={node} at={at} />
      <p class="verdict">
        {MARKS[sign] && <span class={sign}>{mark}</span>}
        <span class="dim">{(mark && rest.length ? " · " : "") + rest.join(" · ")}</span>
      </p>
      {remarks(node).map((each) => (
        <p class={sign === "differs" && each === node.verdict.reason ? "differs" : "dim"}>{each}</p>
      ))}
      <Parts parts={node.parts} />
      {last && node.line && <NumberLineView node={node} line={node.line} />}
      {[...new Set(node.operands)].map((address) => (
        <Unfolding key={address} address={address} at={at + 1} />
      ))}
      {last && node.bits && <Bits node={node} />}
      {last && <Copy address={node.address} />}
    </div>
  );
}

/** What made a gradient: bars, the largest first, for each way of taking it apart. */
function Parts({ parts }: { parts: Part[] }) {
  const ways = [...new Set(parts.map((part) => part.by))];
  return (
    <>
      {ways.map((by) => (
        <figure class="parts">
          <figcaption class="dim">by {by}</figcaption>
          <ul>
            {parts
              .filter((part) => part.by === by)
              .map((part) => (
                <li>
                  <span>{part.label}</span>
                  <span class="bar">
                    <i class={part.share < 0 ? "neg" : "pos"} style={{ width: `${Math.abs(part.share) * 50}%` }} />
                  </span>
                  <code>{part.amount}</code>
                </li>
              ))}
          </ul>
        </figure>
      ))}
    </>
  );
}
