// The run's modules and their tensors as a tree, with sparklines in columns. Of a long tree only the rows in sight are drawn.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { signal, useSignal } from "../signals.ts";
import type { RunMap, Tensor } from "../types.ts";
import { SparkLine, sparkWords } from "./spark.tsx";

const ROW = 26; // pixels
const MANY = 300; // rows from which only those in sight are drawn
const OPEN = 80; // rows up to which the tree begins unfolded

const COLUMNS: [keyof Tensor["sparks"], string, string][] = [
  ["gradNorm", "grad norm", "the root of the sum of the gradient's squares; drawn by its logarithm"],
  ["updateRatio", "step ÷ weight", "how far the step moved the tensor, compared with its size (norm ÷ norm); drawn by its logarithm"],
  ["lost", "lost", "of the elements whose gradient is not zero, the share that kept their bits: the update was rounded away"],
  ["nonfinite", "inf, NaN", "how many elements of gradient and weight are infinite or not a number"],
];

interface Line {
  id: string; // of a module its path, of a tensor = and its name
  text: string;
  depth: number;
  tensor?: Tensor;
  open?: boolean; // of what can be folded
  size: string;
}

interface Props {
  map: RunMap;
  flagged: string[]; // names of tensors
  chosen: string;
  choose: (tensor: Tensor) => void;
}

export function Tree({ map, flagged, chosen, choose }: Props) {
  const few = map.modules.length + map.tensors.length <= OPEN;
  const find = useSignal("");
  const shut = useMemo(() => signal(new Set(map.modules.filter((m) => !few && m.depth).map((m) => m.path))), []);
  const at = useSignal("");
  const top = useSignal(0);
  const box = useRef<HTMLDivElement>(null);
  const wanted = useRef(false);
  const lines = useMemo(() => linesOf(map, shut.value, find.value.trim().toLowerCase()), [map, shut.value, find.value]);
  const here = Math.max(0, lines.findIndex((line) => line.id === (at.value || `=${chosen}`)));
  const long = lines.length > MANY;
  const first = long ? Math.max(0, Math.min(Math.floor(top.value / ROW) - 10, lines.length - 40)) : 0;
  const shown = long ? lines.slice(first, first + 50) : lines;

  // A tensor that was chosen elsewhere (a flag) comes into sight.
  useEffect(() => {
    at.value = "";
    shut.value = new Set([...shut.value].filter((path) => path && !chosen.startsWith(`${path}.`)));
  }, [chosen]);
  useEffect(() => {
    const el = box.current!;
    const y = here * ROW;
    if (y < el.scrollTop || y + ROW > el.scrollTop + el.clientHeight) top.value = el.scrollTop = Math.max(0, y - el.clientHeight / 2);
  }, [here, chosen]);
  // The row that the keyboard went to takes the focus once it is drawn.
  useEffect(() => {
    const el = wanted.current ? box.current!.querySelector<HTMLElement>('[role="treeitem"][tabindex="0"]') : null;
    if (!el) return;
    wanted.current = false;
    el.focus({ preventScroll: true });
  });

  const move = (to: number): void => {
    wanted.current = true;
    at.value = lines[Math.max(0, Math.min(to, lines.length - 1))]!.id;
  };
  const fold = ({ id }: Line): void => {
    const next = new Set(shut.value);
    if (!next.delete(id)) next.add(id);
    shut.value = next;
  };
  const enter = (line: Line): void => {
    at.value = line.id;
    if (line.tensor) choose(line.tensor);
    else if (line.open !== undefined) fold(line);
  };
  const onKey = (event: KeyboardEvent): void => {
    const line = lines[here];
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    const above = lines.findLastIndex((each, i) => i < here && each.depth < line.depth);
    const action = {
      ArrowDown: () => move(here + 1),
      ArrowUp: () => move(here - 1),
      Home: () => move(0),
      End: () => move(lines.length - 1),
      ArrowRight: () => (line.open ? move(here + 1) : line.open === false && fold(line)),
      ArrowLeft: () => (line.open ? fold(line) : above >= 0 && move(above)),
      Enter: () => enter(line),
      " ": () => enter(line),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
  const row = (line: Line, i: number) => {
    const { tensor, open, text, size } = line;
    const flag = !open && flagged.some((name) => (tensor ? name === tensor.name : !line.id || name.startsWith(`${line.id}.`)));
    const sparks = tensor?.role === "parameter" ? COLUMNS : [];
    const words = sparks.map(([key, head]) => `${head}: ${sparkWords(tensor!.sparks[key])}`);
    return (
      <div
        key={line.id} role="treeitem" class="tree-row" tabIndex={first + i === here ? 0 : -1}
        aria-level={line.depth + 1} aria-expanded={open} aria-selected={tensor?.name === chosen}
        aria-label={[text, flag && "flagged", tensor ? tensor.role : "module", size, ...words].filter(Boolean).join(", ")}
        onClick={() => enter(line)}
      >
        <span style={`padding-left:${line.depth * 12}px`}>
          <i class="dim">{open === undefined ? "" : open ? "▾" : "▸"}</i>
          {text} {flag && <b class="flag">⚑</b>} <small class="dim">{size}</small>
        </span>
        {sparks.map(([key], k) => (
          <span title={words[k]}>
            <SparkLine spark={tensor!.sparks[key]} kind={k > 1 ? "area" : ""} />
          </span>
        ))}
      </div>
    );
  };

  return (
    <section aria-label="Modules and tensors">
      <input type="search" aria-label="Find" placeholder="find a module or tensor" value={find.value} onInput={(event) => (find.value = event.currentTarget.value)} />
      <div class="tree-row tree-head dim" aria-hidden="true">
        <span />
        {COLUMNS.map(([, head, about]) => <span title={about}>{head}</span>)}
      </div>
      <div class="tree" role="tree" aria-label="Modules" ref={box} onKeyDown={onKey} onScroll={(event) => long && (top.value = event.currentTarget.scrollTop)}>
        <div role="none" style={`padding:${first * ROW}px 0 ${(lines.length - first - shown.length) * ROW}px`}>
          {shown.map(row)}
        </div>
      </div>
      <p class="dim" role="status">{lines.length ? "" : `No module or tensor has “${find.value}” in its name.`}</p>
      <details class="dim">
        <summary>what the columns say</summary>
        <dl>{COLUMNS.map(([, head, about]) => [<dt>{head}</dt>, <dd>{about}</dd>])}</dl>
      </details>
    </section>
  );
}

function linesOf({ modules, tensors }: RunMap, shut: Set<string>, find: string): Line[] {
  const lines: Line[] = [];
  let hidden = Infinity; // depth of the module that is shut around here
  const hit = (name: string) => name.toLowerCase().includes(find);
  modules.forEach(({ path, depth, tensors: own, numel }, place) => {
    if (depth > hidden) return;
    hidden = Infinity;
    let end = place + 1;
    while (end < modules.length && modules[end]!.depth > depth) end++;
    const names = modules.slice(place, end).flatMap((m) => [m.path, ...m.tensors.map((i) => tensors[i]!.name)]);
    if (find && !names.some(hit)) return;
    const open = !!find || !shut.has(path);
    lines.push({ id: path, text: path.split(".").pop() || "model", depth, open: names.length > 1 ? open : undefined, size: numel === "0" ? "" : numel });
    if (!open) hidden = depth;
    else
      for (const tensor of own.map((i) => tensors[i]!)) {
        const inside = path && tensor.name.startsWith(`${path}.`);
        const text = inside ? tensor.name.slice(path.length + 1) : tensor.name;
        if (!find || hit(tensor.name)) lines.push({ id: `=${tensor.name}`, text, depth: depth + 1, tensor, size: tensor.shape.join(" × ") });
      }
  });
  return lines;
}
