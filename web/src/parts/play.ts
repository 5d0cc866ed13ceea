// Training as it is watched: a step forward or back, the loop, new knobs. The neuron and the network share it.
import { batch, effect, signal } from "../signals.ts";
import { absorbed } from "./absorbed.ts";
import type { Store } from "../store.ts";
import type { Advance, Config, Node, Page } from "../types.ts";

export type Play = ReturnType<typeof createPlay>;

/** Steps a second; the last one is as fast as it goes, with a picture every frame. */
export const SPEEDS = [1, 4, 15, 60, Infinity];

const FRAME = 13; // ms that an answer may take so that a picture stays a picture
const AGAIN = 400; // ms that training again with other knobs may take
const plays = new WeakMap<Store, Play>();

/** The one Play of a mounted page. */
export function playOf(store: Store): Play {
  const play = plays.get(store) ?? createPlay(store);
  plays.set(store, play);
  return play;
}

/** What can be looked at without asking the host: a neuron's steps, a saved network's frames; null where each is asked for. */
export function watched(page: Page): { step: number }[] | null {
  return page.neuron?.steps ?? (page.live ? null : (page.network?.frames ?? []));
}

/** The place of a step in a list that has a step after the other, mostly without gaps. */
export function placeOf(list: { step: number }[], step: number): number {
  const guess = step - (list[0]?.step ?? 0);
  if (list[guess]?.step === step) return guess;
  const after = list.findIndex((each) => each.step >= step);
  return after < 0 ? Math.max(0, list.length - 1) : after;
}

function createPlay(store: Store) {
  const { host, page, step, problem } = store;
  const playing = signal(false);
  const speed = signal(4);
  const extra = signal({ pictures: false, show: "forward", example: 0 }); // what the network level wants in a frame
  let busy = 0;
  let before: Promise<void> = Promise.resolve();
  let wanted: Config | null = null;
  let around = 4; // ms that an answer takes besides the training

  /** One thing after the other; what goes wrong is said, and stops the loop. */
  function doing(work: () => Promise<void>): void {
    busy++;
    before = before.then(work).then(
      () => say(""),
      (error: unknown) => {
        playing.value = false;
        say(error instanceof Error ? error.message : String(error));
      },
    );
  }

  function say(words: string): void {
    busy--;
    batch(() => {
      if (words) store.about.value = "";
      if (!store.about.value) problem.value = words; // what is said about an address stays
    });
  }

  async function forward(steps: number): Promise<void> {
    const list = watched(page.peek());
    if (list) {
      const at = placeOf(list, step.peek());
      const to = list[Math.min(at + steps, list.length - 1)];
      if (to && to.step > step.peek()) return void (step.value = to.step);
      if (!page.peek().live) return void (playing.value = false);
    }
    const budget = Math.max(2, FRAME - around);
    const begun = performance.now();
    const got = await host.ask("advance", { steps: Math.min(steps, 1e6), budget, ...extra.peek() });
    if (got.steps < steps) around += (performance.now() - begun - budget - around) / 8;
    batch(() => {
      page.value = absorbed(page.peek(), got);
      step.value = last(page.peek(), got);
    });
  }

  async function look(to: number): Promise<void> {
    if (watched(page.peek())) return void (step.value = to);
    const { show, example } = extra.peek();
    const got = await host.ask("seek", { step: to + 1, show, example });
    batch(() => {
      page.value = absorbed(page.peek(), got);
      step.value = got.frame?.step ?? got.step;
    });
  }

  function goto(to: number): void {
    playing.value = false;
    doing(() => look(to));
  }

  function toggle(): void {
    playing.value = !playing.value;
    if (!playing.value) return;
    const list = watched(page.peek());
    if (list && !page.peek().live && list.at(-1)?.step === step.peek()) step.value = list[0]!.step; // from the end: all again
    let drawn = performance.now();
    let due = 1;
    const frame = (now: number): void => {
      if (!playing.value) return;
      requestAnimationFrame(frame);
      const rate = speed.value;
      due = Math.min(due + ((now - drawn) / 1000) * rate, Math.max(1, rate / 10)) || rate;
      drawn = now;
      const steps = Math.floor(due + 0.1);
      if (steps < 1 || busy) return; // one request at a time
      due -= Math.min(due, steps);
      doing(() => forward(steps));
    };
    requestAnimationFrame(frame);
  }

  /** Other knobs: as many steps as before are trained again with them, and what was asked is asked again. */
  function configure(change: Config): void {
    wanted = { ...wanted, ...change };
    doing(reconfigure);
  }

  /** All knobs as they were when the level began, and its first step. */
  function reset(): void {
    playing.value = false;
    const level = page.peek().level;
    doing(async () => {
      await renew({ level }, 0);
      kept.value = {};
    });
  }

  async function reconfigure(): Promise<void> {
    while (wanted) {
      const change: Config = wanted;
      wanted = null;
      const { live } = page.peek();
      await renew({ ...live?.config, ...change }, live?.step ?? 0);
    }
  }

  async function renew(config: Config, done: number): Promise<void> {
    let fresh = await host.ask("configure", { config });
    const missing = Math.max(done, fresh.neuron ? 1 : 0) - (fresh.live?.step ?? 0);
    if (missing > 0 && !wanted) {
      const got = await host.ask("advance", { steps: missing, budget: AGAIN, ...extra.peek() });
      fresh = absorbed(fresh, got);
    }
    if (wanted) return; // turned on meanwhile: the next answer is on its way
    const trail = store.trail.peek();
    const nodes = await asked(trail, fresh.live?.step ?? 0);
    batch(() => {
      page.value = fresh;
      kept.value = fresh.live?.config ?? {};
      store.nodes.value = nodes;
      const lost = trail.findIndex((address) => !nodes.has(address));
      if (lost >= 0) store.trail.value = trail.slice(0, lost);
      const list = watched(fresh);
      if (list) step.value = list[placeOf(list, step.peek())]?.step ?? 0;
      else step.value = fresh.network?.frames[0]?.step ?? fresh.live?.step ?? 0;
    });
  }

  /** The nodes of an open answer, as the new numbers make them; not of steps that are not done now. */
  async function asked(trail: string[], done: number): Promise<Map<string, Node>> {
    const nodes = new Map<string, Node>();
    for (const address of trail) {
      if (Number(address.split("@")[1]) >= done) break;
      const answer = await host.ask("why", { address }).catch(() => null);
      for (const node of answer?.nodes ?? []) if (!nodes.get(node.address)?.operands.length) nodes.set(node.address, node);
    }
    return nodes;
  }

  // The knobs stand in the URL once one was turned; a URL that is edited turns them.
  const kept = signal<Config>({});
  const { live } = page.peek();
  const begin = watched(page.peek());
  if (begin?.length) step.value = begin[placeOf(begin, step.peek())]!.step; // a URL may say any number
  if (live) {
    if (!begin) step.value = live.step - 1;
    store.remember("config", kept);
    effect(() => {
      const now = page.peek().live?.config ?? {};
      if (Object.keys(kept.value).some((name) => String(kept.value[name]) !== String(now[name]))) configure(kept.value);
    });
  }

  return {
    playing,
    speed,
    extra,
    step: () => doing(() => forward(1)),
    goto,
    toggle,
    configure,
    reset,
  };
}

/** The step to look at after training. */
function last(page: Page, got: Advance): number {
  return page.neuron?.steps.at(-1)?.step ?? got.frame?.step ?? got.step;
}
