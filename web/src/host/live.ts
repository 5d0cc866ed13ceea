// The live host: the client of `whygrad play`. One request at a time; what a person asks goes before training.
import { absorbed } from "../live/absorbed.ts";
import type { Advance, Asks, Config, Host, Page } from "../types.ts";

interface Job {
  kind: string;
  body: object;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

const FAR = 100_000; // steps that are trained again to show what a link shows
const AWAY =
  "whygrad play does not answer: it has ended, or this computer slept. Start it again in its terminal and open the address " +
  "that it prints. What is shown here stays; Share › Save state takes the knobs along.";
const ENDED = "This page was idle for so long that its session has ended. It can begin again, with the same knobs and steps.";

/** What the URL's fragment says: the knobs, and the step that is looked at. */
function wished(): { config: Config | null; step: number } {
  const found = new Map(location.hash.slice(1).split("&").map((pair) => pair.split("=", 2) as [string, string]));
  try {
    const config = JSON.parse(decodeURIComponent(found.get("config") ?? "null"));
    return { config, step: Number(found.get("step") ?? -1) || 0 };
  } catch {
    return { config: null, step: -1 };
  }
}

/** Opens a session at `url` with the knobs that the page's URL asks for where they are good, else with the server's own;
 * trained as far as the URL looks. Throws where there is no server. */
export async function openLive(url: string): Promise<Host> {
  const { config, step } = wished();
  let gone = ""; // why the server does not answer
  let tell: (words: string) => void = () => undefined;
  const queue: Job[] = [];
  let busy = false;
  let session = "";

  function say(words: string): void {
    gone = words;
    tell(words);
  }

  async function post(body: object): Promise<unknown> {
    let answer: Response;
    try {
      answer = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
    } catch {
      say(AWAY);
      throw new Error(AWAY);
    }
    const found = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    if (answer.ok && found.error === undefined) return found;
    if (answer.status === 410) say(ENDED);
    throw new Error(found.error ?? AWAY);
  }

  async function work(): Promise<void> {
    if (busy) return;
    busy = true;
    for (let job = next(queue); job; job = next(queue)) {
      // That the server is gone is said once, above the page.
      await post({ session, kind: job.kind, ...job.body }).then(job.resolve, (error) => job.reject(gone ? "" : error));
    }
    busy = false;
  }

  const open = (wanted: Config | null) => post({ kind: "open", config: wanted }) as Promise<{ session: string; page: Page }>;
  let begun: { session: string; page: Page };
  try {
    begun = await open(config);
  } catch (error) {
    if (!config || gone) throw error;
    begun = await open(null);
  }
  session = begun.session;
  let { page } = begun;
  const missing = page.live ? Math.max(Math.min(step + 1, FAR), page.neuron ? 1 : 0) - page.live.step : 0;
  if (missing > 0) {
    const body = { session, kind: "advance", steps: missing, budget: 2000, pictures: true, show: "forward", example: 0 };
    page = absorbed(page, (await post(body)) as Advance);
  }

  return {
    kind: "live",
    page,
    trouble(take) {
      tell = take;
      tell(gone);
    },
    ask<K extends keyof Asks>(kind: K, body: Asks[K]["in"]): Promise<Asks[K]["out"]> {
      return new Promise<unknown>((resolve, reject) => {
        queue.push({ kind, body, resolve, reject });
        void work();
      }) as Promise<Asks[K]["out"]>;
    },
    /** Where the server answers, the page begins anew from what its URL says. */
    async again() {
      const found = await fetch(location.pathname).catch(() => null);
      if (found?.ok) location.reload();
      else say(`Still no answer. ${AWAY}`);
    },
  };
}

/** The job to do now: training waits for everything else. */
function next(queue: Job[]): Job | undefined {
  const first = queue.findIndex((job) => job.kind !== "advance");
  return first > 0 ? queue.splice(first, 1)[0] : queue.shift();
}
