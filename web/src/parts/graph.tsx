// The network as a graph, read left to right: units with pictures of their outputs, weights and biases as edges.
import { useSignal, useSignalEffect } from "../signals.ts";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Look, type Spot, addressesOf, nameOf, sizesOf, wordsOf } from "../levels/network_look.ts";
import { useStore } from "../store.ts";
import type { Network } from "../types.ts";
import { paint } from "./picture.ts";

export const MOST_EDGES = 600; // of a layer, drawn: those that are largest when the graph is first drawn
const OFTEN = 125; // ms between two questions for the number under the pointer

/** All edges; of a layer with very many, the largest weights alone. */
function edgesOf(net: Network, look: Look): Spot[] {
  return net.layers.flatMap(({ bias }, k) => {
    const ins = net.sizes[k]!;
    const weights = look.frame.peek().weights?.[k] ?? [];
    const all: Spot[] = [];
    for (let o = 0; o < net.sizes[k + 1]!; o++) for (let i = 0; i < ins + (bias ? 1 : 0); i++) all.push({ l: k + 1, o, i });
    const size = ({ o, i }: Spot) => (i < ins ? Math.abs(weights[o * ins + i] ?? 0) : Infinity);
    return all.length > MOST_EDGES ? all.sort((a, b) => size(b) - size(a)).slice(0, MOST_EDGES) : all;
  });
}

const keyOf = ({ l, o, i }: Spot) => `${l},${o},${i}`;

const near = (target: EventTarget | null) => (target as Element).closest("[data-k]");

function spotOf(target: EventTarget | null): Spot | null {
  const key = near(target)?.getAttribute("data-k");
  const [l, o, i] = (key ?? "").split(",").map(Number) as [number, number, number];
  return key ? { l, o, i } : null;
}

/** Arrow keys: up and down among units or edges, left and right along edges. `fan.out`: edges spread to the right. */
function neighbour({ sizes, layers }: Network, { l, o, i }: Spot, key: string, fan: { out: boolean }): Spot {
  const down = key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0;
  const right = key === "ArrowRight";
  const cycle = (place: number, size: number) => (place + down + size) % size;
  const before = sizes[l - 1]!;
  if (down && (i < 0 || fan.out)) return { l, o: cycle(o, sizes[l]!), i };
  if (down) return { l, o, i: cycle(i, before + (layers[l - 1]!.bias ? 1 : 0)) };
  if (i >= 0) return right ? { l, o, i: -1 } : { l: l - 1, o: Math.min(i, before - 1), i: -1 };
  fan.out = right;
  return right ? { l: l + 1, o: 0, i: o } : { l, o, i: 0 };
}

/** Mounted anew for each network (its `key`), since what it draws is laid out once. */
export function Graph({ net, look }: { net: Network; look: Look }) {
  const store = useStore();
  const root = useRef<HTMLDivElement>(null);
  const fan = useRef({ out: false });
  const at = useSignal<[number, number]>([0, 0]); // where the label stands
  const edges = useMemo(() => edgesOf(net, look), []);
  const tall = Math.max(...net.sizes);
  const row = Math.max(13, Math.min(60, 420 / tall));
  const height = tall * row + 44;
  const x = (l: number) => ((l + 0.5) / net.sizes.length) * 100;
  const y = (l: number, u: number) => (u < net.sizes[l]! ? (height - 30) / 2 + (u - (net.sizes[l]! - 1) / 2) * row : height - 16);
  const place = (l: number, u: number) => `left:${x(l)}%;top:${y(l, u)}px;width:min(${Math.min(46, row - 3)}px,${64 / net.sizes.length}%)`;

  // Straight to the attributes: hundreds of edges change sixty times a second.
  useSignalEffect(() => {
    const sizes = sizesOf(look.frame.value, look.mode.value);
    const lit = new Set(store.trail.value.map((each) => each.replace(/(\.grad)?@\w+$/, "")));
    const drawn = root.current!.querySelectorAll<SVGPathElement>(".edge");
    edges.forEach((spot, n) => {
      const { l, o, i } = spot;
      const ins = net.sizes[l - 1]!;
      const value = (i < ins ? sizes?.w[l - 1]?.[o * ins + i] : sizes?.b[l - 1]?.[o]) || 0;
      const share = Math.min(1, Math.abs(value) / (sizes?.scale ?? 1));
      const { style, classList } = drawn[n]!;
      classList.toggle("up", value > 0);
      classList.toggle("down", value < 0);
      classList.toggle("lit", lit.has(nameOf(net, spot, look)));
      style.strokeWidth = `${0.8 + (row / 9) * share}`;
      style.strokeOpacity = `${0.35 + 0.6 * share}`;
    });
    for (const unit of root.current!.querySelectorAll(".node"))
      unit.classList.toggle("lit", lit.has(nameOf(net, spotOf(unit)!, look)));
  });

  function show(spot: Spot | null, left: number, top: number) {
    const box = root.current!.getBoundingClientRect();
    if (spot) at.value = [(left - box.left) / box.width, top - box.top];
    const now = look.over.peek();
    if ((now && keyOf(now)) !== (spot && keyOf(spot))) look.over.value = spot;
  }
  function focus({ target }: FocusEvent) {
    for (const each of root.current!.querySelectorAll("[tabindex='0']")) each.setAttribute("tabindex", "-1");
    (target as Element).setAttribute("tabindex", "0");
    const box = (target as Element).getBoundingClientRect();
    show(spotOf(target), box.left + box.width / 2, box.top + box.height / 2);
  }
  function ask({ target }: Event) {
    const spot = spotOf(target);
    const address = spot && addressesOf(net, spot, look).pop();
    if (address) void store.ask(address, -1, near(target) as HTMLElement);
  }
  function press(event: KeyboardEvent) {
    const { key, altKey, target } = event;
    const spot = spotOf(target);
    if (!spot || altKey) return;
    if (["w", "Enter", " "].includes(key)) ask(event);
    else if (key.startsWith("Arrow"))
      root.current!.querySelector<HTMLElement>(`[data-k="${keyOf(neighbour(net, spot, key, fan.current))}"]`)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <div
      ref={root}
      class={`graph ${look.mode.value}`}
      style={`height:${height}px`}
      role="group"
      aria-label="The network: arrow keys go from unit to weight to unit"
      onPointerMove={(event) => show(spotOf(event.target), event.clientX, event.clientY)}
      onPointerLeave={() => show(null, 0, 0)}
      onFocusIn={focus}
      onFocusOut={() => show(null, 0, 0)}
      onClick={ask}
      onKeyDown={press}
    >
      <svg viewBox={`0 0 100 ${height}`} preserveAspectRatio="none" role="presentation">
        {edges.map((spot) => {
          const { l, o, i } = spot;
          const half = x(l) - 50 / net.sizes.length;
          const d = `M${x(l - 1)} ${y(l - 1, i)}C${half} ${y(l - 1, i)} ${half} ${y(l, o)} ${x(l)} ${y(l, o)}`;
          return [
            <path class="edge" d={d} />,
            <path class="hit" data-k={keyOf(spot)} d={d} role="button" tabindex={-1} aria-label={wordsOf(net, spot)} />,
          ];
        })}
      </svg>
      {net.sizes.map((n, l) => (
        <>
          {net.layers[l]?.bias && <i style={place(l, n)}>1</i>}
          {Array.from({ length: n }, (_, u) => (
            <button class="node" data-k={`${l},${u},-1`} tabIndex={l + u ? -1 : 0} style={place(l, u)}>
              <Picture look={look} l={l} u={u} />
              <span class={l ? "sr" : ""}>{wordsOf(net, { l, o: u, i: -1 })}</span>
            </button>
          ))}
        </>
      ))}
      <Label net={net} look={look} at={at} />
    </div>
  );
}

function Picture({ look, l, u }: { look: Look; l: number; u: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useSignalEffect(() => {
    const { pictures, side } = look.frame.value;
    paint(canvas.current!, pictures[l]?.[u], side);
  });
  return <canvas ref={canvas} />;
}

/** The number under the pointer or the focus, as Python says it. */
function Label({ net, look, at }: { net: Network; look: Look; at: { value: [number, number] } }) {
  const { host } = useStore();
  const told = useSignal<[key: string, said: [string, string | null][]]>(["", []]);
  const last = useRef(0);
  const spot = look.over.value;
  const wanted = spot ? addressesOf(net, spot, look) : [];
  useEffect(() => {
    if (!spot || !wanted.length) return;
    const timer = setTimeout(
      async () => {
        last.current = performance.now();
        const { values } = await host.ask("values", { addresses: wanted }).catch(() => ({ values: [] }));
        told.value = [keyOf(spot), wanted.map((each, n) => [each, values[n] ?? null])];
      },
      last.current + OFTEN - performance.now(),
    );
    return () => clearTimeout(timer);
  }, [wanted.join()]);
  const [key, said] = told.value;
  const [x, y] = at.value;
  return (
    <div class="label" role="status" hidden={!spot} style={`left:${x * 100}%;top:${y}px;translate:${-x * 100}% 0`}>
      <b>{spot && wordsOf(net, spot)}</b>
      {spot &&
        key === keyOf(spot) &&
        said.map(([address, value]) => (
          <code>
            {address} {value === null ? "is not kept here" : `= ${value}`}
          </code>
        ))}
    </div>
  );
}
