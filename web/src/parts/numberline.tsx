// A number among its neighbours, and the exact result that was rounded to it; for a weight, its update against half the
// spacing: what does not reach the half-way mark is rounded away. Places are geometry; every number is a string given.
import type { Node, NumberLine } from "../types.ts";

const WIDTH = 360;
const MIDDLE = WIDTH / 2;
const UNIT = 112; // a spacing

export function NumberLineView({ node, line }: { node: Node; line: NumberLine }) {
  return (
    <details class="line" open>
      <summary>neighbours, spacing {line.spacing}</summary>
      <Neighbours value={node.value} line={line} />
      {line.update && <UpdateLine update={line.update} />}
    </details>
  );
}

/** A text in the middle above or below `x`, moved so that it stays inside. */
function Label({ x, y, text }: { x: number; y: number; text: string }) {
  const half = Math.min(MIDDLE, text.length * 3.3);
  return <text x={Math.max(half, Math.min(WIDTH - half, x))} y={y} text-anchor="middle">{text}</text>;
}

function Neighbours({ value, line }: { value: string; line: NumberLine }) {
  const at = (place: number) => MIDDLE + Math.max(-1.45, Math.min(1.45, place)) * UNIT;
  const exact = at(line.exactAt);
  const ticks: [number, string][] = [
    [at(line.belowAt), line.below],
    [at(0), value],
    [at(1), line.above],
  ];
  const words = `${value} stands between its neighbours ${line.below} and ${line.above}, spacing ${line.spacing}`;
  return (
    <svg viewBox={`0 0 ${WIDTH} 76`} role="img" aria-label={words + (line.exact ? `; before rounding ${line.exact}` : "")}>
      <path class="axis" d={`M6 40H${WIDTH - 6}`} />
      {ticks.map(([x, text], i) => (
        <g class={i === 1 ? "here" : ""}>
          <path d={`M${x} 33V47`} />
          <Label x={x} y={i === 1 ? 72 : 59} text={text} />
        </g>
      ))}
      {line.exact && (
        <g class="exact">
          <path d={`M${exact} 38l-5 -10h10z`} />
          <Label x={exact} y={10} text="before rounding" />
          <Label x={exact} y={23} text={line.exact} />
        </g>
      )}
    </svg>
  );
}

export function UpdateLine({ update }: { update: NonNullable<NumberLine["update"]> }) {
  const way = update.size.includes("−") ? -1 : 1;
  const from = way > 0 ? 40 : WIDTH - 40;
  const half = 100; // drawn length of half a spacing
  const x = (share: number) => from + way * share * half;
  const far = update.share > 2.7;
  const tip = x(far ? 2.85 : update.share);
  const head = Math.min(7, Math.max(2, Math.abs(tip - from)));
  return (
    <>
      <svg viewBox={`0 0 ${WIDTH} 72`} role="img" aria-label={update.sentence} class={update.lost ? "lost" : ""}>
        <path class="axis" d={`M6 44H${WIDTH - 6}`} />
        <g class="here">
          <path d={`M${from} 37V51`} />
          <Label x={from} y={66} text={update.old} />
        </g>
        <g>
          <path d={`M${x(2)} 37V51`} />
          <path class="half" d={`M${x(1)} 12V51`} />
          <Label x={x(1)} y={66} text={`half-way ${update.half}`} />
        </g>
        <g class="arrow">
          <path d={`M${from} 26H${tip}`} />
          <path class="head" d={`M${tip} 26l${-way * head} ${-head * 0.7}v${head * 1.4}z`} />
          {far && <path d={`M${tip - way * 16} 19l${way * 6} 14`} />}
          <Label x={from} y={14} text={update.size} />
        </g>
      </svg>
      <p class={update.lost ? "problem" : "dim"}>{update.sentence}</p>
    </>
  );
}
