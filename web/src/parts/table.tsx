// The table: a row a step, every number a button that asks why. One stop for the Tab key; arrows go from cell to cell.
import { useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "../signals.ts";
import { useStore } from "../store.ts";
import type { Table } from "../types.ts";
import { asking } from "./num.tsx";

const ROW = 26; // pixels, as in style.css
const SHOWN = 100; // longer tables draw only what is in view: every row drawn costs each frame while the training runs
const AROUND = 12; // rows drawn above and below it

interface Props {
  table: Table;
  /** The step whose row is marked; the store's where it is not said. */
  current?: number;
  /** What to say of a cell besides its number ("update lost"); it gets a mark. */
  mark?: (address: string, step: number) => string | undefined;
  /** Makes the step's number a button. */
  onStep?: (step: number) => void;
  label?: string;
}

const tail = (cell: string | null): number => (cell?.includes(".") ? cell.length - cell.indexOf(".") : 0);

/** Scrolls so that a row is in view, below the heading. */
function show(place: HTMLElement, row: number): void {
  const most = row * ROW;
  const least = most + 2 * ROW - place.clientHeight;
  if (row >= 0) place.scrollTop = Math.max(least, Math.min(most, place.scrollTop));
}

/** Longest whole and fraction a column, in characters; only rows that came since the last look are gone through. */
function useWidths(table: Table): { tails: number[]; wholes: number[] } {
  const kept = useRef({ first: null as unknown, columns: 0, done: 0, tails: [] as number[], wholes: [] as number[] });
  const now = kept.current;
  if (now.first !== table.rows[0] || now.columns !== table.columns.length || now.done > table.rows.length) {
    Object.assign(now, { first: table.rows[0], columns: table.columns.length, done: 0 });
    now.tails = table.columns.map(() => 0);
    now.wholes = table.columns.map((column) => column.short.length);
  }
  for (; now.done < table.rows.length; now.done++) {
    table.rows[now.done]!.forEach((cell, i) => {
      now.tails[i] = Math.max(now.tails[i] ?? 0, tail(cell));
      now.wholes[i] = Math.max(now.wholes[i] ?? 0, (cell?.length ?? 0) - tail(cell) + now.tails[i]!);
    });
  }
  return now;
}

export function TableView({ table, current, mark, onStep, label = "Table, a row a step" }: Props) {
  const store = useStore();
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const cell = useSignal<[number, number]>([0, 0]);
  const moving = useRef(false);
  const before = useRef(table.rows.length);
  const { tails, wholes } = useWidths(table);
  const count = table.rows.length;
  const all = count <= SHOWN;
  const height = box.current?.clientHeight ?? 480;
  const from = all ? 0 : Math.max(0, Math.floor(top.value / ROW) - AROUND);
  const to = all ? count : Math.min(count, Math.ceil((top.value + height) / ROW) + AROUND);
  const step = current ?? store.step.value;
  const row = Math.min(cell.value[0], count - 1);

  // The step looked at stays in view, but one who reads further up is left there while rows are added.
  useLayoutEffect(() => {
    const place = box.current!;
    const grown = (count - before.current) * ROW;
    before.current = count;
    if (grown <= 0 || place.scrollTop + place.clientHeight > place.scrollHeight - grown - ROW * 2) show(place, table.steps.indexOf(step));
  }, [count, step]);
  useLayoutEffect(() => {
    if (!moving.current) return;
    moving.current = false;
    box.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  });

  function move(event: KeyboardEvent): void {
    const columns = table.columns.length - 1;
    const page = Math.max(1, Math.floor(height / ROW) - 2);
    const [r, c] = [row, cell.value[1]];
    const to: Record<string, [number, number]> = {
      ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1],
      PageUp: [r - page, c], PageDown: [r + page, c],
      Home: [event.ctrlKey ? 0 : r, 0], End: [event.ctrlKey ? count - 1 : r, columns],
    }; // prettier-ignore
    const next = event.altKey ? undefined : to[event.key];
    const place = box.current;
    if (!next || !place) return;
    event.preventDefault();
    const [line, column] = [Math.max(0, Math.min(count - 1, next[0])), Math.max(0, Math.min(columns, next[1]))];
    show(place, line);
    moving.current = true;
    cell.value = [line, column];
    top.value = place.scrollTop;
  }

  const one = (line: number) => {
    const at = table.steps[line]!;
    return (
      <tr key={at} aria-current={at === step ? "step" : undefined} aria-rowindex={line + 2}>
        <th scope="row">{onStep ? <button class="num" onClick={() => onStep(at)}>{at}</button> : at}</th>
        {table.columns.map((column, i) => {
          const text = table.rows[line]![i] ?? null;
          const address = column.address && `${column.address}@${at}`;
          const said = address && mark?.(address, at);
          const pad = " ".repeat(Math.max(0, tails[i]! - tail(text)));
          return (
            <td>
              {text === null ? null : address ? (
                <button
                  {...asking(store, address, -1, said ? "lost" : "")}
                  tabIndex={line === row && i === cell.value[1] ? 0 : -1}
                  title={said ? `${address}: ${said}` : address}
                  aria-label={`${text}, ${column.name}, step ${at}${said ? `, ${said}` : ""}. Why?`}
                  onFocus={() => (cell.value = [line, i])}
                >
                  {text}
                </button>
              ) : (
                text
              )}
              <span aria-hidden="true">{pad}</span>
            </td>
          );
        })}
      </tr>
    );
  };

  const lines = [];
  for (let line = from; line < to; line++) lines.push(one(line));
  return (
    <div class="table" ref={box} onScroll={(event) => all || (top.value = event.currentTarget.scrollTop)} onKeyDown={move}>
      <table role="grid" aria-label={label} aria-rowcount={count + 1}>
        <thead>
          <tr>
            <th scope="col">step</th>
            {table.columns.map((column, i) => (
              <th scope="col" title={column.name} style={{ minWidth: `${wholes[i]}ch` }}>{column.short}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <tr aria-hidden="true" style={{ height: from * ROW }} />}
          {lines}
          {to < count && <tr aria-hidden="true" style={{ height: (count - to) * ROW }} />}
        </tbody>
      </table>
    </div>
  );
}
