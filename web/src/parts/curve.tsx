// The loss, step by step.
import { useRef } from "preact/hooks";
import { type ReadonlySignal, useSignalEffect } from "../signals.ts";
import { useStore } from "../store.ts";

/** The loss over the steps of the table; a mark at the frame's. */
export function Curve({ frame }: { frame: ReadonlySignal<{ step: number }> }) {
  const { page } = useStore();
  const line = useRef<SVGPathElement>(null);
  const mark = useRef<SVGPathElement>(null);
  // Drawn straight into its paths: it changes with every frame.
  useSignalEffect(() => {
    const { columns, steps, rows } = page.value.table;
    const at = columns.findIndex((each) => each.kind === "loss");
    const every = Math.ceil(rows.length / 160);
    const found = rows.flatMap((row, n): [number, number][] => {
      const value = n % every ? NaN : Number(row[at]?.replace("−", "-") ?? NaN);
      return Number.isFinite(value) ? [[steps[n]!, value]] : [];
    });
    line.current!.ownerSVGElement!.style.display = found.length > 1 ? "" : "none"; // no line before two points
    const top = Math.max(...found.map((each) => each[1]), 0) || 1;
    const [first = 0, last = 1] = [steps[0], steps.at(-1)];
    const x = (step: number) => ((step - first) / (last - first || 1)) * 120;
    line.current!.setAttribute("d", found.map(([s, v], n) => `${n ? "L" : "M"}${x(s)} ${34 - (v / top) * 32}`).join(""));
    mark.current!.setAttribute("d", `M${x(frame.value.step)} 0V36`);
  });
  return (
    <svg class="curve" viewBox="0 0 120 36" preserveAspectRatio="none" aria-hidden="true">
      <path ref={mark} class="dashed" />
      <path ref={line} />
    </svg>
  );
}
