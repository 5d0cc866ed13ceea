// A number that can be asked: a button. `w` on it, Enter or a click asks why.
import { useStore, type Store } from "../store.ts";
import type { Said } from "../types.ts";

/** What makes a button of class `num` ask why. `after`: place in the trail of the answer that it stands in (−1: in none). */
export function asking(store: Store, address: string, after = -1, className = "") {
  return {
    class: `num ${className}${store.trail.value.includes(address) ? " lit" : ""}`,
    "data-address": address,
    onClick: (event: { currentTarget: HTMLElement }) => void store.ask(address, after, event.currentTarget),
  };
}

/** `label`: what the number is, in words, for the tooltip and the screen reader. */
export function Num(props: { address: string; text: string; label?: string; after?: number; className?: string }) {
  const { address, text, label, after, className } = props;
  return (
    <button {...asking(useStore(), address, after, className)} title={label ?? address} aria-label={label && `${text}, ${label}. Why?`}>
      {text}
    </button>
  );
}

/** A sentence with numbers that can be asked. */
export function Sentence({ said }: { said: Said[] }) {
  return (
    <p class="said">
      {said.map((each) => (typeof each === "string" ? each : <Num address={each[0]} text={each[1]} />))}
    </p>
  );
}
