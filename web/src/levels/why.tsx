// One number, as a notebook shows it: its why, open from the start.
import { Sentence } from "../parts/num.tsx";
import { Why } from "../parts/why.tsx";
import { useStore } from "../store.ts";
import type { Page } from "../types.ts";

export function WhyLevel({ page }: { page: Page }) {
  const open = useStore().trail.value.length > 0;
  return (
    <>
      {!open && page.story.map((said) => <Sentence said={said} />)}
      <Why />
    </>
  );
}
