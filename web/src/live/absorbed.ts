// A live page, and what an answer of its server adds to it.
import type { Advance, Frame, Page, Table } from "../types.ts";

/** The page with what an answer brought. Long lists are added to in place, so that a frame costs what is new in it. */
export function absorbed(page: Page, got: Advance): Page {
  const next: Page = { ...page, table: joined(page.table, got.table), live: got.live ?? page.live, story: got.story };
  const other = page.live?.other;
  if (other && got.live?.other) got.live.other.table = joined(other.table, got.live.other.table);
  if (page.neuron) {
    const { steps } = page.neuron;
    const [first] = got.neuron;
    if (first) steps.splice(cut(steps, (each) => each.step >= first.step), Infinity, ...got.neuron);
    next.neuron = { ...page.neuron };
  }
  if (page.network && got.frame) next.network = { ...page.network, frames: [drawn(page.network.frames[0], got.frame)] };
  return next;
}

/** Rows that are new take the place of those from their step on. */
function joined(old: Table, more: Table): Table {
  const [first] = more.steps;
  if (first !== undefined) {
    const from = cut(old.steps, (step) => step >= first);
    old.steps.splice(from, Infinity, ...more.steps);
    old.rows.splice(from, Infinity, ...more.rows);
  }
  return { ...old, total: Math.max(more.total, old.steps.length) };
}

/** How many of a list come before what is new: mostly all of them. */
function cut<T>(list: T[], isNew: (each: T) => boolean): number {
  let count = list.length;
  while (count && isNew(list[count - 1]!)) count--;
  return count;
}

/** A frame that was asked for without pictures keeps those of the one before. */
function drawn(old: Frame | undefined, frame: Frame): Frame {
  return frame.output || !old ? frame : { ...frame, pictures: old.pictures, output: old.output };
}
