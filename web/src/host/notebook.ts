// A notebook's host: the kernel answers, over anywidget's model. The other side is src/whygrad/render/widget.py.
import type { Asks, Host, Page } from "../types.ts";

interface Reply {
  id: string;
  answer?: unknown;
  error?: string;
}

/** The part of anywidget's model that is used here. */
export interface Model {
  get(name: "key"): string;
  send(message: object): void;
  on(event: "msg:custom", take: (message: Reply) => void): void;
}

type Ask = (kind: string, body?: object) => Promise<unknown>;
type Slow = (yes: boolean) => void;

const SLOW = 2500; // milliseconds
const BUSY =
  "The kernel has not answered yet. It may be busy with a cell; if it was restarted, run the cell of this output again.";

/** Questions about what is displayed as `key`. */
function asker(model: Model): (key: string, slow: Slow) => Ask {
  const waiting = new Map<string, (reply: Reply) => void>();
  const mine = Math.random().toString(36).slice(2); // another window may ask the same kernel
  let count = 0;
  model.on("msg:custom", (reply) => waiting.get(reply.id)?.(reply));
  return (key, slow) => (kind, body) =>
    new Promise((resolve, reject) => {
      const id = `${mine}-${count++}`;
      const timer = setTimeout(slow, SLOW, true);
      waiting.set(id, ({ answer, error }) => {
        waiting.delete(id);
        clearTimeout(timer);
        slow(false);
        error === undefined ? resolve(answer) : reject(new Error(error));
      });
      model.send({ id, key, kind, body });
    });
}

/** The module that draws a level's pages, which the kernel hands out; asked for once a document. */
const modules = new Map<string, Promise<{ show(el: HTMLElement, host: Host): () => void }>>();

function moduleOf(level: string, ask: Ask) {
  const known = modules.get(level);
  if (known) return known;
  const found = ask("script", { level }).then(async (answer) => {
    const url = URL.createObjectURL(new Blob([(answer as { script: string }).script], { type: "text/javascript" }));
    return import(url).finally(() => URL.revokeObjectURL(url));
  });
  modules.set(level, found);
  found.catch(() => modules.delete(level));
  return found;
}

/** Draws the page of `key` at the end of `place`, and hides `still`, which stood there for it. */
async function draw(asked: ReturnType<typeof asker>, key: string, place: Element, still: Element[]) {
  let tell: (words: string) => void = () => undefined;
  const ask = asked(key, (slow) => tell(slow ? BUSY : ""));
  const page = (await ask("page")) as Page;
  const { show } = await moduleOf(page.level, ask);
  const host: Host = {
    kind: "notebook",
    page,
    ask: <K extends keyof Asks>(kind: K, body: Asks[K]["in"]) => ask(kind, body) as Promise<Asks[K]["out"]>,
    trouble: (take) => void (tell = take),
  };
  const frame = document.createElement("div");
  const el = frame.appendChild(document.createElement("div"));
  el.dataset["lmSuppressShortcuts"] = "true"; // JupyterLab's keys are not meant while the focus is in the page
  const end = show(el, host);
  const light = shaded(frame);
  for (const each of still) (each as HTMLElement).style.display = "none";
  place.append(frame);
  return () => {
    end();
    light();
    frame.remove();
    for (const each of still) (each as HTMLElement).style.display = "";
  };
}

/** A notebook's theme is its own choice, whatever the system's is. Returns what stops following it. */
function shaded(frame: HTMLElement): () => void {
  const follow = () => {
    const { body, documentElement: root } = document;
    const said = body.dataset["jpThemeLight"] ?? "";
    const names = `${body.className} ${root.className} ${root.getAttribute("theme") ?? ""} ${body.dataset["theme"] ?? ""}`;
    const dark = said === "false" || (!said && /\b(vscode-dark|vscode-high-contrast|dark|dark-theme|dark-mode)\b/.test(names));
    const light = said === "true" || (!dark && /\b(vscode-light|light|light-theme)\b/.test(names));
    frame.style.colorScheme = dark ? "dark" : light ? "light" : "light dark";
  };
  follow();
  const watch = new MutationObserver(follow);
  for (const each of [document.body, document.documentElement]) watch.observe(each, { attributes: true });
  return () => watch.disconnect();
}

/** anywidget's interface. */
export const widget = {
  /** The widget without a key: draws in the place of each static output that the kernel knows, now and later. */
  initialize({ model }: { model: Model }): void {
    if (model.get("key")) return;
    const ask = asker(model);
    const seen = new WeakSet<Element>();
    const outputs = document.getElementsByTagName("div");
    let due = 0;
    function look(): void {
      due = 0;
      for (const each of outputs) {
        const key = each.dataset["whygrad"];
        if (!key || seen.has(each)) continue;
        seen.add(each);
        // Where the kernel does not answer, or does not know it, the static output stays.
        draw(ask, key, each, [...each.children]).catch(() => undefined);
      }
    }
    new MutationObserver(() => (due ||= requestAnimationFrame(look))).observe(document.body, { childList: true, subtree: true });
    look();
  },
  /** The widget as an output of its own. */
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    const key = model.get("key");
    const still = key ? [...document.querySelectorAll(`[data-whygrad="${key}"]`)] : [];
    const drawn = draw(asker(model), key, el, still);
    drawn.catch((error: Error) => void (el.textContent = error.message));
    return () => void drawn.then((end) => end(), () => undefined);
  },
};
