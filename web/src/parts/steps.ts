// Steps that can be looked at without asking the host.
import type { Page } from "../types.ts";

/** A neuron's steps, a saved network's frames; null where each is asked for. */
export function watched(page: Page): { step: number }[] | null {
  return page.neuron?.steps ?? (page.live ? null : (page.network?.frames ?? []));
}

/** The place of a step in a list that has a step after the other, mostly without gaps. */
export function placeOf(list: { step: number }[], step: number): number {
  const guess = step - (list[0]?.step ?? 0);
  if (list[guess]?.step === step) return guess;
  const after = list.findIndex((each) => each.step >= step);
  return after < 0 ? Math.max(0, list.length - 1) : after;
}
