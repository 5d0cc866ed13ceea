// Copy an answer as LaTeX, Python or text. Where the clipboard is not allowed (a page from disk), the text is shown selected.
import { useState } from "preact/hooks";
import { useStore } from "../store.ts";

const WAYS = { latex: "LaTeX", python: "Python", text: "text" } as const;

export function Copy({ address }: { address: string }) {
  const store = useStore();
  const [said, setSaid] = useState("");
  const [shown, setShown] = useState("");
  async function copy(as: keyof typeof WAYS): Promise<void> {
    setShown("");
    try {
      const { text } = await store.host.ask("copy", { address, as });
      const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
      setSaid(done ? `copied as ${WAYS[as]}` : "the clipboard is not allowed here; copy this:");
      if (!done) setShown(text);
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    }
  }
  return (
    <div class="copy">
      <span class="dim">copy as</span>
      {(Object.keys(WAYS) as (keyof typeof WAYS)[]).map((as) => (
        <button onClick={() => void copy(as)}>{WAYS[as]}</button>
      ))}
      <span role="status">{said}</span>
      {shown && (
        <textarea readOnly aria-label="text to copy" rows={4} value={shown} ref={(area) => area?.select()} />
      )}
    </div>
  );
}
