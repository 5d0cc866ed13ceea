// The whole screen: header, the level, and the answer at its side (or, where the level puts it, in place).
import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { WhyLevel } from "./levels/why.tsx";
import { KeyList, onKey } from "./parts/keys.tsx";
import { Answer } from "./parts/why.tsx";
import { useSignal } from "./signals.ts";
import { StoreContext, createStore, type Store, type Theme } from "./store.ts";
import type { Host, Page } from "./types.ts";

const THEMES: Theme[] = ["auto", "light", "dark"];
const WIDE = 900; // pixels from which the answer stands at the side
const HINT = "Click any number, and the equation it came from stands here, with the real numbers in it.";

export function App({ host, Level }: { host: Host; Level: ComponentType<{ page: Page }> }) {
  const store = useMemo(() => createStore(host), [host]);
  useEffect(() => store.end, [store]);
  return (
    <StoreContext.Provider value={store}>
      <Screen store={store} Level={host.page.level === "why" ? WhyLevel : Level} />
    </StoreContext.Provider>
  );
}

function Screen({ store, Level }: { store: Store; Level: ComponentType<{ page: Page }> }) {
  const place = useRef<HTMLDivElement>(null);
  const keys = useSignal(false);
  const page = store.page.value;
  const theme = store.theme.value;
  const wide = store.wide.value;

  useLayoutEffect(() => {
    const el = place.current!;
    const watch = new ResizeObserver(() => void (store.wide.value = el.clientWidth >= WIDE && !["why", "network"].includes(store.page.value.level)));
    watch.observe(el);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    const root = place.current!.getRootNode();
    if (!(root instanceof ShadowRoot)) return;
    if (theme === "auto") root.host.removeAttribute("data-theme");
    else root.host.setAttribute("data-theme", theme);
  }, [theme]);

  return (
    <div class="page" ref={place} onKeyDown={(event) => onKey(event, store, () => (keys.value = true))}>
      {page.level !== "why" && <header>
        <h1>{page.title}</h1>
        {page.about.length > 0 && (
          <details>
            <summary>about</summary>
            <ul>{page.about.map((each) => <li>{each}</li>)}</ul>
          </details>
        )}
        <span class="tools">
          <label>
            theme{" "}
            <select value={theme} onChange={(event) => void (store.theme.value = event.currentTarget.value as Theme)}>
              {THEMES.map((name) => <option>{name}</option>)}
            </select>
          </label>
          <button aria-label="Keys" title="keys" onClick={() => (keys.value = true)}>?</button>
        </span>
        {page.leftOut.length > 0 && <ul class="left-out">{page.leftOut.map((each) => <li>{each}</li>)}</ul>}
      </header>}
      <div class={wide ? "split" : ""}>
        <div class="level">
          <Level page={page} />
        </div>
        {(wide || !store.places.value) && <Answer hint={wide ? HINT : undefined} />}
      </div>
      {keys.value && <KeyList close={() => (keys.value = false)} />}
    </div>
  );
}
