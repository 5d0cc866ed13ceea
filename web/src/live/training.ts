// Training on the server: steps, knobs, points. parts/play.ts plays it.
import type { Loop, Training } from "../controls.ts";
import { placeOf, watched } from "../parts/steps.ts";
import type { Store } from "../store.ts";
import type { Advance, Config, Node, Page } from "../types.ts";
import { absorbed } from "./absorbed.ts";
import { kit } from "./kit.ts";

const FRAME = 13; // ms that an answer may take so that a picture stays a picture
const LEAST = 12; // … of them to be spent on training: less of it makes a busy browser no faster
const FASTEST = 48; // … at full speed, where drawing costs as much as training: twenty pictures a second will do
const AGAIN = 400; // ms that training again with other knobs may take
const trainings = new WeakMap<Store, Training>();

/** The one Training of a mounted page. */
export const trainingOf = (store: Store): Training => trainings.get(store)!;

export function train(store: Store, { playing, extra, doing }: Loop): Training {
  const { host, page, step } = store;
  const { batch, effect, signal } = kit;
  const adding = signal(0);
  // The knobs stand in the URL once one was turned; a URL that is edited turns them.
  const kept = signal<Config>({});
  let wanted: Config | null = null;
  let turned: Config | null = null;
  let plain = false;
  let around = 4; // ms that an answer takes besides the training

  async function forward(steps: number): Promise<void> {
    const budget = steps === Infinity ? FASTEST : Math.max(LEAST, FRAME - around);
    const begun = performance.now();
    const { pictures, show, example } = extra.peek();
    plain = steps === Infinity && !plain; // at full speed, every other frame goes without pictures: they take a third of it
    const got = await host.ask("advance", { steps: Math.min(steps, 1e6), budget, pictures: pictures && !plain, show, example });
    if (got.steps < steps) around += (performance.now() - begun - budget - around) / 8;
    batch(() => {
      page.value = absorbed(page.peek(), got);
      step.value = last(page.peek(), got);
    });
    if (plain && pictures && !playing.peek()) await look(step.peek()); // stopped here: with its pictures
  }

  async function look(to: number): Promise<void> {
    const { show, example } = extra.peek();
    const got = await host.ask("seek", { step: to + 1, show, example });
    batch(() => {
      page.value = absorbed(page.peek(), got);
      step.value = got.frame?.step ?? got.step;
    });
  }

  const config = (): Config => turned ?? page.peek().live!.config;

  function configure(change: Config): void {
    turned = { ...config(), ...change };
    wanted = { ...wanted, ...change };
    doing(reconfigure);
  }

  function reset(): void {
    playing.value = false;
    const level = page.peek().level;
    doing(async () => {
      await renew({ level }, 0);
      kept.value = {};
    });
  }

  async function reconfigure(): Promise<void> {
    try {
      while (wanted) {
        const change: Config = wanted;
        wanted = null;
        const { live } = page.peek();
        await renew({ ...live?.config, ...change }, live?.step ?? 0);
      }
    } finally {
      turned = wanted && turned;
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

  function add(x: number, y: number): void {
    const { live, network } = page.peek();
    const { bounds, points: there } = network!;
    const at = (place: number, k: 0 | 2) => Number((bounds[k] + ((place + 1) / 2) * (bounds[k + 1]! - bounds[k])).toFixed(2));
    const point = (x: number, y: number, label: number) => [at(x, 0), at(y, 2), label];
    const { dataset, points } = live!.config;
    const begun = dataset === "own" ? (points as number[][]) : there?.x.map((each, n) => point(each, there.y[n]!, there.label[n]!));
    configure({ dataset: "own", points: [...(begun ?? []), point(x, y, adding.peek())] });
  }

  store.remember("config", kept);
  effect(() => {
    const now = page.peek().live?.config ?? {};
    if (Object.keys(kept.value).some((name) => String(kept.value[name]) !== String(now[name]))) configure(kept.value);
  });

  const training = { forward, look, configure, config, reset, adding, add };
  trainings.set(store, training);
  return training;
}

/** The step to look at after training. */
function last(page: Page, got: Advance): number {
  return page.neuron?.steps.at(-1)?.step ?? got.frame?.step ?? got.step;
}
