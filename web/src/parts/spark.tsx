// A number's way through the run, as a line the height of the text. It is decoration: what it says stands in words beside it.
import type { Spark } from "../types.ts";

const W = 60;
const H = 18;

/** `kind` wide: the run's own, with a mark where a number was not finite; area: of a share or a count. */
export function SparkLine({ spark, kind = "" }: { spark: Spark | null; kind?: string }) {
  const points = spark?.points ?? [];
  const last = points.length - 1;
  const x = (i: number) => (last ? (i / last) * W : 0).toFixed(1);
  let line = "";
  points.forEach((point, i) => {
    if (point === null) return;
    const begins = !i || points[i - 1] === null;
    line += `${begins ? "M" : "L"}${x(i)} ${(H - 1.5 - point * (H - 3)).toFixed(1)}${begins && (points[i + 1] ?? null) === null ? "h4" : ""}`;
  });
  const gaps = points.map((point, i) => (point === null ? `M${x(i)} 1V${H - 1}` : "")).join("");
  const path = (d: string, name?: string) => d && <path class={name} d={d} vector-effect="non-scaling-stroke" />;
  return (
    <svg class={`spark ${kind} ${points.some(Boolean) ? "" : "nil"}`} viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true">
      {kind === "area" && !gaps && path(line && `${line}V${H}H0Z`, "fill")}
      {path(line)}
      {kind === "wide" && path(gaps, "gap")}
    </svg>
  );
}

/** The same in words. */
export function sparkWords(spark: Spark | null): string {
  if (!spark) return "not recorded";
  const { first, last, low, high, note } = spark;
  return note || [first === last ? last : `${first} → ${last}`, low !== high && `(from ${low} to ${high})`].filter(Boolean).join(" ");
}
