// A tile of a tensor: cells on a canvas, with a cursor for pointer and keyboard; or, near enough, the numbers themselves.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "../signals.ts";
import { useStore } from "../store.ts";
import type { Tile } from "../types.ts";
import { Num } from "./num.tsx";

const foldOf = (tile: Tile): [number[], number[]] => tile.fold ?? [[tile.shape[0]], [tile.shape[1]]];

/** The address of an element: its row and column counted through the dimensions that they stand for. */
export function elementAddress(tile: Tile, row: number, column: number): string {
  const [down, across] = foldOf(tile);
  return tile.addresses.replace("{r}", places(row, down).join()).replace("{c}", places(column, across).join());
}

/** The index of an element in the tensor, and back. */
export const elementIndex = (tile: Tile, row: number, column: number): number[] => {
  const [down, across] = foldOf(tile);
  return [...places(row, down), ...places(column, across)];
};

export function elementPlace(tile: Tile, index: number[]): [number, number] | null {
  const [down, across] = foldOf(tile);
  if (index.length !== down.length + across.length) return null;
  const count = (part: number[], sizes: number[]) => part.reduce((at, i, k) => at * sizes[k]! + i, 0);
  return [count(index.slice(0, down.length), down), count(index.slice(down.length), across)];
}

function places(at: number, sizes: number[]): number[] {
  const found: number[] = [];
  for (let i = sizes.length - 1; i >= 0; i--) {
    found.unshift(at % sizes[i]!);
    at = Math.floor(at / sizes[i]!);
  }
  return found;
}

const STEPS: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** What a cell is, in words: where it lies, and its sign. */
function words(tile: Tile, at: number, first: [number, number]): string {
  const value = colours(tile)[at]!;
  const sign = value === -128 ? "not finite" : value > 0 ? "positive" : value ? "negative" : "zero";
  if (isElement(tile)) return `${elementAddress(tile, ...first)}: ${sign}`;
  const [rows, columns] = first.map((from, i) => {
    const to = Math.min(from + tile.perCell[i]!, tile.shape[i]!) - 1;
    return to > from ? `${from}–${to}` : from;
  });
  return `rows ${rows}, columns ${columns}: ${value ? `the largest in size is ${sign}` : "all zero"}`;
}

export const isElement = (tile: Tile): boolean => tile.perCell[0] === 1 && tile.perCell[1] === 1;

const known = new WeakMap<Tile, Int8Array>();
function colours(tile: Tile): Int8Array {
  let found = known.get(tile);
  if (!found) known.set(tile, (found = Int8Array.from(atob(tile.cells), (char) => char.charCodeAt(0))));
  return found;
}

/** Strength by the square root: small numbers are not to vanish beside large ones. */
const paint = (value: number, most = 1): string =>
  `rgb(${value === -128 ? "192 38 211" : value > 0 ? "26 138 224" : "232 124 30"}/${Math.sqrt(Math.min(127, Math.abs(value)) / 127) * most})`;

interface Props {
  tile: Tile;
  mark: [number, number] | null; // an element to be marked
  pick: (row: number, column: number) => void; // an element, or the first of a cell
}

export function Heat({ tile, mark, pick }: Props) {
  return tile.texts ? <Numbers tile={tile} mark={mark} /> : <Cells tile={tile} mark={mark} pick={pick} />;
}

function Cells({ tile, mark, pick }: Props) {
  const store = useStore();
  const canvas = useRef<HTMLCanvasElement>(null);
  const at = useSignal(0);
  const near = useSignal(false);
  const text = useSignal("");
  const { rows, columns } = tile;
  const size = Math.max(4, Math.min(24, Math.floor(512 / Math.max(rows, columns))));
  const cell = Math.min(at.value, rows * columns - 1);
  const first = (i: number): [number, number] => [
    tile.row + Math.floor(i / columns) * tile.perCell[0],
    tile.column + (i % columns) * tile.perCell[1],
  ];
  const about = words(tile, cell, first(cell));

  useEffect(() => {
    const pen = canvas.current!.getContext("2d")!;
    pen.clearRect(0, 0, columns * size, rows * size);
    colours(tile).forEach((value, i) => {
      if (!value) return;
      const [x, y] = [(i % columns) * size, Math.floor(i / columns) * size];
      pen.fillStyle = paint(value);
      pen.fillRect(x, y, size, size);
      // A hole: negative. A cross: not finite.
      if (value < 0 && size > 5) pen.clearRect(x + size * 0.4, y + size * 0.4, size * 0.2, size * 0.2);
      if (value > -128) return;
      pen.clearRect(x + 1, y + size * 0.4, size - 2, size * 0.2);
      pen.clearRect(x + size * 0.4, y + 1, size * 0.2, size - 2);
    });
  }, [tile]);

  // The number under the cursor, where the host has it.
  const one = near.value && isElement(tile) ? elementAddress(tile, ...first(cell)) : "";
  useEffect(() => {
    text.value = "";
    let gone = !one;
    const timer = setTimeout(() => {
      if (!gone) store.host.ask("values", { addresses: [one] }).then(({ values }) => gone || (text.value = values[0] ?? ""), () => 0);
    }, 60);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [one]);

  const outline = (r: number, c: number, name: string) =>
    r >= 0 && r < rows && c >= 0 && c < columns && (
      <i class={name} style={`left:${(c / columns) * 100}%;top:${(r / rows) * 100}%;width:${100 / columns}%;height:${100 / rows}%`} />
    );
  const under = (event: MouseEvent): number => {
    const box = canvas.current!.getBoundingClientRect();
    const place = (from: number, size: number, count: number) => Math.min(count - 1, Math.max(0, Math.floor((from / size) * count)));
    return place(event.clientY - box.top, box.height, rows) * columns + place(event.clientX - box.left, box.width, columns);
  };
  const onKey = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) {
      const r = Math.floor(cell / columns) + step[0];
      const c = (cell % columns) + step[1];
      if (r >= 0 && r < rows && c >= 0 && c < columns) at.value = r * columns + c;
    } else if (["Enter", " ", "w"].includes(event.key)) pick(...first(cell));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <>
      <button
        class="heat" style={`max-width:${columns * size}px;aspect-ratio:${columns}/${rows}`}
        aria-label={`Heat map of ${tile.name}; arrow keys move. ${about}. Enter ${isElement(tile) ? "asks why" : "looks closer"}.`}
        onKeyDown={onKey}
        onClick={(event) => event.detail && pick(...first(under(event)))}
        onMouseMove={(event) => {
          at.value = under(event);
          near.value = true;
        }}
        onMouseLeave={() => (near.value = false)}
        onFocus={() => (near.value = true)}
        onBlur={() => (near.value = false)}
      >
        <canvas ref={canvas} width={columns * size} height={rows * size} />
        {near.value && outline(Math.floor(cell / columns), cell % columns, "cursor")}
        {mark && outline(Math.floor((mark[0] - tile.row) / tile.perCell[0]), Math.floor((mark[1] - tile.column) / tile.perCell[1]), "marked")}
      </button>
      <p class="dim read" aria-live="polite">{one && text.value ? <code>{one} = <b>{text.value}</b></code> : about}</p>
    </>
  );
}

/** The index of a row or column; a vector's row has none. */
const Head = ({ scope, at, sizes }: { scope: "row" | "col"; at: number; sizes: number[] }) =>
  sizes.length ? <th scope={scope}>{places(at, sizes).join()}</th> : <td />;

/** The numbers themselves, each a button, on the colours of the cells. */
function Numbers({ tile, mark }: Omit<Props, "pick">) {
  const place = useRef<HTMLDivElement>(null);
  const [down, across] = foldOf(tile);
  const count = (n: number) => Array.from({ length: n }, (_, i) => i);
  const onKey = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    const all = [...place.current!.querySelectorAll<HTMLElement>(".num")];
    const from = all.indexOf(event.target as HTMLElement);
    if (!step || from < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    all[from + step[0] * tile.columns + step[1]]?.focus();
  };
  return (
    <div class="numbers" ref={place} onKeyDown={onKey}>
      <table aria-label={`Elements of ${tile.name}`}>
        <thead>
          <tr>
            <td />
            {count(tile.columns).map((j) => <Head scope="col" at={tile.column + j} sizes={across} />)}
          </tr>
        </thead>
        <tbody>
          {count(tile.rows).map((i) => (
            <tr>
              <Head scope="row" at={tile.row + i} sizes={down} />
              {count(tile.columns).map((j) => {
                const at = i * tile.columns + j;
                const [r, c] = [tile.row + i, tile.column + j];
                const address = elementAddress(tile, r, c);
                return (
                  <td class={mark?.[0] === r && mark[1] === c ? "marked" : ""} style={`--tint:${paint(colours(tile)[at]!, 0.4)}`}>
                    <Num address={address} text={tile.texts![at]!} label={address} />
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
