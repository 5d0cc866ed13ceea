// What a live page begins with: a session of the server it came from, the module of that session's level, and its controls.
import type { Controls, Kit } from "../controls.ts";
import { openLive } from "../host/live.ts";
import { Dataset, Sizes } from "../live/dataset.tsx";
import { take } from "../live/kit.ts";
import { Knob, Settings } from "../live/knobs.tsx";
import sheet from "../live/live.css";
import { train } from "../live/training.ts";
import type { Host } from "../types.ts";

const controls: Controls = { sheet, train, Settings, Knob, Dataset, Sizes };
const el = document.getElementById("whygrad")!;
try {
  const host = await openLive("./api");
  const level = `./${host.page.level}.js`;
  const { show, kit } = (await import(level)) as { show(el: HTMLElement, host: Host): () => void; kit: Kit };
  take(kit);
  show(el, { ...host, controls });
} catch (error) {
  el.textContent = error instanceof Error ? error.message : String(error);
}
