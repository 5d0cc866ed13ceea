// Training as it is watched: a step forward or back, and the loop. The neuron and the network share it; live, there is training
// behind it.
import type { Controls, Training } from "../controls.ts";
import { batch, signal } from "../signals.ts";
import { type Store, useStore } from "../store.ts";
import { placeOf, watched } from "./steps.ts";

export type Play = ReturnType<typeof createPlay>;

/** Steps a second; the last one is as fast as it goes, with a picture every frame. */
export const SPEEDS = [1, 4, 15, 60, Infinity];

const plays = new WeakMap<Store, Play>();

/** The one Play of a mounted page. */
export function playOf(store: Store): Play {
  const play = plays.get(store) ?? createPlay(store);
  plays.set(store, play);
  return play;
}

/** The knobs of a page that trains. */
export function useControls(): Controls | undefined {
  const store = useStore();
  return playOf(store).training && store.host.controls;
}

function createPlay(store: Store) {
  const { host, page, step, problem } = store;
  const playing = signal(false);
  const speed = signal(4);
  const extra = signal({ pictures: false, show: "forward", example: 0 }); // what the network level wants in a frame
  let busy = 0;
  let before: Promise<void> = Promise.resolve();

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
      if (!training) return void (playing.value = false);
    }
    return training?.forward(steps);
  }

  function goto(to: number): void {
    playing.value = false;
    doing(async () => {
      if (watched(page.peek())) step.value = to;
      else await training?.look(to);
    });
  }

  function toggle(): void {
    playing.value = !playing.value;
    if (!playing.value) return;
    const list = watched(page.peek());
    if (list && !training && list.at(-1)?.step === step.peek()) step.value = list[0]!.step; // from the end: all again
    let drawn = performance.now();
    let due = 1;
    const frame = (now: number): void => {
      if (!playing.value) return;
      requestAnimationFrame(frame);
      const rate = speed.value;
      due = Math.min(due + ((now - drawn) / 1000) * rate, Math.max(1, rate / 10)) || rate;
      drawn = now;
      const steps = Math.floor(due + 0.1);
      if (steps < 1 || busy > Number(rate === Infinity)) return; // one at a time; at full speed the next one waits in line
      due -= Math.min(due, steps);
      doing(async () => void (playing.value && (await forward(steps))));
    };
    requestAnimationFrame(frame);
  }

  const { live } = page.peek();
  const begin = watched(page.peek());
  if (begin?.length) step.value = begin[placeOf(begin, step.peek())]!.step; // a URL may say any number
  else if (live && !begin) step.value = live.step - 1;
  const training: Training | undefined = live ? host.controls?.train(store, { playing, extra, doing }) : undefined;

  return { playing, speed, extra, training, step: () => doing(() => forward(1)), goto, toggle };
}
