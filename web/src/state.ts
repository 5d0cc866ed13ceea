// The page's state in the URL's fragment, so that a reload or a sent link shows the same: `#step=3&why=w@3~loss@3`.
// In a notebook the URL belongs to someone else: there nothing is read or written.
import { effect, type Signal } from "./signals.ts";

const safe = (text: string) => text.replace(/[%&#+\s"<>`\u0080-\uffff]+/g, encodeURIComponent);
const kind = (value: unknown) => (Array.isArray(value) ? "list" : typeof value);

export function createState(on: boolean) {
  const kept = new Map<string, { read(text?: string): void; text: string }>();
  const stops: (() => void)[] = [];
  let timer = 0;

  const fragment = () => new Map([...location.hash.slice(1).matchAll(/([^&=]+)=([^&]*)/g)].map(([, key, text]) => [key!, text!]));

  /** Keys that nobody has asked for yet (of a level still to be drawn) stay as they are. */
  function write(): void {
    const all = fragment();
    for (const [key, { text }] of kept) text ? all.set(key, text) : all.delete(key);
    const next = `#${[...all].map((pair) => pair.join("=")).join("&")}`;
    try {
      if (next !== (location.hash || "#")) history.replaceState(history.state, "", next);
    } catch {
      // A frame without a URL of its own: nothing can be kept there.
    }
  }

  /** Keeps a signal in the URL under `key`, and takes over what the URL says. What is of another type, and what `valid`
   * refuses, is passed over. Its value at the time of the call is the default, which the URL does not mention. */
  function remember<T>(key: string, signal: Signal<T>, valid: (found: T) => boolean = () => true): void {
    if (!on || kept.has(key)) return;
    const begin = signal.peek();
    const plain = typeof begin === "string";
    const worded = (value: T) => safe(plain ? String(value) : JSON.stringify(value));
    const entry = {
      text: "",
      read(text = worded(begin)) {
        try {
          const words = decodeURIComponent(text);
          const found = (plain ? words : JSON.parse(words)) as T;
          if (kind(found) === kind(begin) && valid(found) && worded(found) !== worded(signal.peek())) signal.value = found;
        } catch {
          // A link that was cut or edited: the page begins as it would without it.
        }
      },
    };
    kept.set(key, entry);
    entry.read(fragment().get(key));
    const stop = effect(() => {
      const text = worded(signal.value);
      entry.text = text === worded(begin) ? "" : text;
      clearTimeout(timer);
      timer = setTimeout(write, 150);
    });
    stops.push(stop);
  }

  function follow(): void {
    const now = fragment();
    for (const [key, { read }] of kept) read(now.get(key));
  }
  if (on) addEventListener("hashchange", follow);
  stops.push(() => removeEventListener("hashchange", follow));

  return { remember, end: () => stops.forEach((stop) => stop()) };
}
