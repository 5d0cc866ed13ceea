// What a live page begins with: a session of the server it came from, and the module of that session's level.
import { openLive } from "../host/live.ts";
import type { Host } from "../types.ts";

const el = document.getElementById("whygrad")!;
try {
  const host = await openLive("./api");
  const level = `./${host.page.level}.js`;
  const { show } = (await import(level)) as { show(el: HTMLElement, host: Host): () => void };
  show(el, host);
} catch (error) {
  el.textContent = error instanceof Error ? error.message : String(error);
}
