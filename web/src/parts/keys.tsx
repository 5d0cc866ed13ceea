// Keys for the whole page, and the list of them.
import { useEffect, useRef } from "preact/hooks";
import type { Store } from "../store.ts";

const KEYS = [
  ["Tab", "to the next number; in a table, arrows go from cell to cell"],
  ["Enter or w", "why is this number what it is?"],
  ["Backspace, Alt+← or [", "up the trail"],
  ["Esc", "fold the answer"],
  ["?", "this list"],
] as const;

/** What a key does, wherever the focus is; `list` shows the list of keys. */
export function onKey(event: KeyboardEvent, store: Store, list: () => void): void {
  const target = event.composedPath()[0] as HTMLElement;
  if (target.closest("input:not([type=range]), textarea, select, dialog") || event.ctrlKey || event.metaKey) return;
  const { key, altKey } = event;
  const address = target.dataset?.address;
  if (key === "w" && address) target.click();
  else if (key === "Backspace" || key === "[" || (key === "ArrowLeft" && altKey)) {
    if (!store.trail.value.length) return;
    store.fold();
  } else if (key === "Escape" && store.trail.value.length) store.fold(0);
  else if (key === "?") list();
  else return;
  event.preventDefault();
}

export function KeyList({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-label="Keys">
      <dl>
        {KEYS.map(([key, does]) => (
          <div>
            <dt>{key}</dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <button onClick={() => dialog.current?.close()}>close</button>
    </dialog>
  );
}
