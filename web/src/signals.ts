// Signals, as @preact/signals has them, as far as this page needs them (a tenth of the size): what reads `.value` while a
// component renders, or in an effect, runs again when it changes.
import { type Component, options } from "preact";
import { useEffect, useMemo } from "preact/hooks";

type Readers = Set<Watcher>;

/** Something that reads signals: `run` is called when one of those has changed. */
class Watcher {
  reads = new Set<Readers>();
  constructor(readonly run: () => void) {}
  forget(): void {
    for (const readers of this.reads) readers.delete(this);
    this.reads.clear();
  }
}

let watching: Watcher | null = null;
let depth = 0;
const due: Readers = new Set();

export interface Signal<T> {
  value: T;
  /** The value, without being told of changes. */
  peek(): T;
}

export type ReadonlySignal<T> = Readonly<Signal<T>>;

class Cell<T> implements Signal<T> {
  readers: Readers = new Set();
  constructor(public now: T) {}
  get value(): T {
    if (watching) {
      this.readers.add(watching);
      watching.reads.add(this.readers);
    }
    return this.now;
  }
  set value(next: T) {
    if (Object.is(next, this.now)) return;
    this.now = next;
    batch(() => this.readers.forEach((each) => due.add(each)));
  }
  peek(): T {
    return this.now;
  }
}

export const signal = <T>(value: T): Signal<T> => new Cell(value);

/** What follows from other signals, worked out whenever it is read: meant for small things. */
export const computed = <T>(from: () => T): ReadonlySignal<T> => ({
  get value() {
    return from();
  },
  peek: () => watch(null, from),
});

function watch<T>(watcher: Watcher | null, work: () => T): T {
  const before = watching;
  watching = watcher;
  try {
    return work();
  } finally {
    watching = before;
  }
}

/** Changes in `work` are told together, at its end. */
export function batch<T>(work: () => T): T {
  depth++;
  try {
    return work();
  } finally {
    if (--depth === 0)
      for (const each of due) {
        due.delete(each);
        each.run();
      }
  }
}

/** Runs `work` now and after every change of what it read; what it returns is called before the next run and at the end. */
export function effect(work: () => void | (() => void)): () => void {
  let clean: void | (() => void);
  const end = (): void => {
    watcher.forget();
    due.delete(watcher);
    clean?.();
  };
  const watcher = new Watcher(() => {
    end();
    clean = watch(watcher, work);
  });
  watcher.run();
  return end;
}

export const useSignal = <T>(value: T): Signal<T> => useMemo(() => signal(value), []);

export const useComputed = <T>(from: () => T): ReadonlySignal<T> => useMemo(() => computed(from), []);

export const useSignalEffect = (work: () => void | (() => void)): void => useEffect(() => effect(work), []);

// ---- components: preact calls these around each render, under the short names that it keeps from release to release

interface Hooks {
  __b?: (vnode: object) => void; // before an element is compared
  __r?: (vnode: { __c?: Watched }) => void; // before a component renders
  __e?: (...about: unknown[]) => void; // after it threw
  diffed?: (vnode: object) => void;
  unmount?: (vnode: { __c?: Watched }) => void;
}
type Watched = Component & { watcher?: Watcher };

const hooks = options as Hooks;

function around<K extends keyof Hooks>(name: K, work: (vnode: { __c?: Watched }) => void): void {
  const before = hooks[name] as ((...about: unknown[]) => void) | undefined;
  hooks[name] = ((...about: unknown[]) => {
    work(about[0] as { __c?: Watched });
    before?.(...about);
  }) as Hooks[K];
}

for (const name of ["__b", "__e", "diffed"] as const) around(name, () => void (watching = null));
around("__r", ({ __c: component }) => {
  if (!component) return;
  const watcher = (component.watcher ??= new Watcher(() => component.forceUpdate()));
  watcher.forget();
  watching = watcher;
});
around("unmount", ({ __c: component }) => {
  component?.watcher?.forget();
  due.delete(component?.watcher as Watcher);
});
