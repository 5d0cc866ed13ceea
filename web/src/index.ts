// What the module of each level is made of: one page, three hosts. A saved file calls `file(el)`; entries/live.ts and
// entries/notebook.ts, which know their page's level only when it is there, load its module and call `show(el, host)`.
import { type ComponentType, h, render as draw } from "preact";
import { App } from "./app.tsx";
import { fileHost } from "./host/file.ts";
import { Trouble } from "./parts/trouble.tsx";
import style from "./style.css";
import type { Host, Page } from "./types.ts";

/** The page of one level, `sheets` its style beside the core's. */
export function hosts(Level: ComponentType<{ page: Page }>, ...sheets: string[]) {
  /** Draws the page inside `el`, in a shadow root of its own; returns what takes it away. */
  function show(el: HTMLElement, host: Host): () => void {
    const root = el.shadowRoot ?? el.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style, ...sheets, host.controls?.sheet ?? ""].map((text) => {
      const each = new CSSStyleSheet();
      each.replaceSync(text);
      return each;
    });
    el.toggleAttribute("data-full", host.kind !== "notebook");
    draw([h(Trouble, { host }), h(App, { host, Level })], root);
    return () => draw(null, root);
  }

  /** Shows the saved page whose data stands in `<script type="application/json" id="whygrad-page">`. */
  async function file(el: HTMLElement): Promise<() => void> {
    return show(el, await fileHost(document.getElementById("whygrad-page")?.textContent ?? ""));
  }

  return { show, file };
}
