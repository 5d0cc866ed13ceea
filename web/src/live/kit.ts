// What the controls draw with, given by the level's module once it is there. JSX becomes kit.h(…) (build.mjs).
import type { Kit } from "../controls.ts";

export let kit: Kit;

export function take(given: Kit): void {
  kit = given;
}
