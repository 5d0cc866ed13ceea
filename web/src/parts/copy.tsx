// Copy an answer as LaTeX, Python or text. Where the clipboard is not allowed (a page from disk), the text is shown selected.
import { useSignal } from "../signals.ts";
import { useStore } from "../store.ts";

const WAYS = { latex: "LaTeX", python: "Python", text: "text" } as const;

export function Copy({ address }: { address: string }) {
  const store = useStore();
  const said = useSignal("");
  const shown = useSignal("");
  async function copy(as: keyof typeof WAYS): Promise<void> {
    shown.value = "";
    try {
      const { text } = await store.host.ask("copy", { address, as });
      const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
      said.value = done ? `copied as ${WAYS[as]}` : "the clipboard is not allowed here; copy this:";
      if (!done) shown.value = text;
    } catch (error) {
      said.value = error instanceof Error ? error.message : String(error);
    }
  }
  return (
    <div class="copy">
      <span class="dim">copy as</span>
      {(Object.keys(WAYS) as (keyof typeof WAYS)[]).map((as) => (
        <button onClick={() => void copy(as)}>{WAYS[as]}</button>
      ))}
      <span role="status">{said.value}</span>
      {shown.value && (
        <textarea readOnly aria-label="text to copy" rows={4} value={shown.value} ref={(area) => area?.select()} />
      )}
    </div>
  );
}
