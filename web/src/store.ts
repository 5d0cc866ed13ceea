// The page's state: what is shown, and how it follows from what the host says. One store a mounted page.
import { batch, computed, effect, signal } from "./signals.ts";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { createState } from "./state.ts";
import type { Host, Node, Page } from "./types.ts";

export type Store = ReturnType<typeof createStore>;
export type Theme = "auto" | "light" | "dark";

export function createStore(host: Host) {
  const page = signal<Page>(host.page);
  const nodes = signal<Map<string, Node>>(new Map());
  const trail = signal<string[]>(host.page.why ? [host.page.why] : []); // addresses that were asked, the first one first: w ← ∂loss/∂w ← ŷ
  const step = signal<number>(host.page.steps[0] ?? 0); // the step that is looked at
  const problem = signal<string>("");
  const about = signal<string>(""); // the address that `problem` is about
  const asked = computed(() => trail.value[trail.value.length - 1] ?? "");
  const theme = signal<Theme>("auto");
  const wide = signal(false); // whether the answer stands beside the level
  const places = signal(0); // how many <Why/> the level has put in place
  const focus = signal(""); // the address whose row in the answer takes the focus when drawn
  const { remember, end: leave } = createState(host.kind !== "notebook");
  let opener: HTMLElement | null = null;
  let own: string[] = []; // the trail as set here, not by the URL or the page
  let turn = 0;

  /** The node of an address, from the cache or the host; null (and a message) where there is none. */
  async function node(address: string): Promise<Node | null> {
    const known = nodes.value.get(address);
    const whole = known && (known.operands.length || !known.more);
    if (whole && known.operands.every((each) => nodes.value.has(each))) return known;
    let found: Node[] = [];
    let words = "";
    try {
      found = (await host.ask("why", { address })).nodes;
    } catch (error) {
      found = (error as { nodes?: Node[] }).nodes ?? []; // what is known all the same
      words = error instanceof Error ? error.message : String(error);
    }
    const all = new Map(nodes.value);
    for (const each of found) if (each.operands.length || !all.get(each.address)?.operands.length) all.set(each.address, each);
    batch(() => {
      nodes.value = all;
      problem.value = whole ? "" : words;
      about.value = address;
    });
    return all.get(address) ?? null;
  }

  const go = (next: string[]): void => void (trail.value = own = next);

  /** Ask why. From a number of the answer shown (`after` its place in the trail) the trail grows; elsewhere it begins anew.
   * `from`: the button that asked, where the focus goes back to. */
  async function ask(address: string, after = -1, from?: HTMLElement | null): Promise<void> {
    const mine = ++turn;
    if (!(await node(address)) || mine !== turn) return;
    if (after < 0 && trail.value[0] !== address) opener = from ?? null;
    batch(() => {
      if (about.value !== address) problem.value = "";
      go([...trail.value.slice(0, after + 1).filter((each) => each !== address), address]);
      focus.value = address;
    });
  }

  /** Fold the answer at `place` of the trail, and what is below it. */
  function fold(place = trail.value.length - 1): void {
    batch(() => {
      problem.value = "";
      focus.value = place ? trail.value[place]! : "";
      go(trail.value.slice(0, place));
    });
    if (!place && opener?.isConnected) opener.focus();
  }

  /** What was known of a run that goes on from other knobs is not true any more. */
  function forget(): void {
    turn++;
    batch(() => {
      nodes.value = new Map();
      problem.value = "";
      go([]);
    });
  }

  /** The nodes of a trail that the URL gave: it is cut where a number is not known, or not of the number before. */
  async function follow(): Promise<void> {
    const wanted = (own = trail.value);
    problem.value = "";
    for (const [place, address] of wanted.entries()) {
      const above = nodes.value.get(wanted[place - 1] ?? "");
      if ((!place || above?.operands.includes(address)) && (await node(address))) continue;
      if (trail.value === wanted) go(wanted.slice(0, place));
      return;
    }
  }

  remember("theme", theme, (name) => ["auto", "light", "dark"].includes(name));
  remember("step", step, (n) => Number.isInteger(n) && n >= 0 && (host.kind === "live" || host.page.steps.includes(n)));
  remember("why", {
    get value() {
      return trail.value.join("~");
    },
    set value(text) {
      trail.value = text.split("~").filter(Boolean);
    },
    peek: () => trail.peek().join("~"),
  });
  const stop = effect(() => {
    if (trail.value !== own) void follow();
  });
  const end = (): void => {
    stop();
    leave();
  };

  return {
    host, page, nodes, trail, asked, step, problem, about, theme, wide, places, focus,
    node, ask, fold, forget, remember, end,
  }; // prettier-ignore
}

export const StoreContext = createContext<Store | null>(null);

export function useStore(): Store {
  const store = useContext(StoreContext);
  if (!store) throw new Error("no store");
  return store;
}
