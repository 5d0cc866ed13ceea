// A number among its neighbours, and the exact result that was rounded to it; for a weight, its update against half the
// spacing: what does not reach the half-way mark is rounded away. Places are geometry; every number is a string given.
import type { Node, NumberLine, Update } from "../types.ts";

const WIDTH = 360;
const MIDDLE = WIDTH / 2;

/** An update of more halves of the spacing is not drawn against it. */
export const SMALL = 32;

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
  const wide = Math.max(1.5, -line.belowAt); // spacings from the middle to the edge
  const at = (place: number) => MIDDLE + (Math.max(-wide, Math.min(wide, place)) / wide) * (MIDDLE - 12);
  const exact = at(line.exactAt);
  const words = `${value} stands between its neighbours ${line.below} and ${line.above}, spacing ${line.spacing}`;
  return (
    <svg viewBox={`0 0 ${WIDTH} 76`} role="img" aria-label={words + (line.exact ? `; before rounding ${line.exact}` : "")}>
      <path class="axis" d={`M6 40H${WIDTH - 6}`} />
      <Tick x={at(line.belowAt)} y={59} text={line.below} />
      <Tick x={MIDDLE} y={72} text={value} here />
      <Tick x={at(1)} y={59} text={line.above} />
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

function Tick({ x, y, text, here }: { x: number; y: number; text: string; here?: boolean }) {
  return (
    <g class={here ? "here" : ""}>
      <path d={`M${x} 33v14`} />
      <Label x={x} y={y} text={text} />
    </g>
  );
}

/** Smaller numbers are to the left: an update below zero points there, and the half-way mark stands there. */
export function UpdateLine({ update: { old, size, half, share, lost, sentence } }: { update: Update }) {
  const way = /^[≈\s]*[−-]/.test(size) ? -1 : 1;
  const from = MIDDLE - way * 140;
  const x = (share: number) => from + way * share * 100;
  const tip = x(Math.min(share, 2.85));
  const head = Math.min(7, Math.max(2, Math.abs(tip - from)));
  return (
    <>
      {share < SMALL && (
        <svg viewBox={`0 0 ${WIDTH} 64`} role="img" aria-label={sentence} class={lost ? "lost" : ""}>
          <path class="axis" d={`M6 40H${WIDTH - 6}`} />
          <Tick x={from} y={59} text={old} here />
          <path d={`M${x(2)} 33v14`} />
          <path class="half" d={`M${x(1)} 13v34`} />
          <Label x={x(1)} y={10} text={`half-way ${half}`} />
          <g class="arrow">
            <path d={`M${from} 24H${tip}`} />
            <path class="head" d={`M${tip} 24l${-way * head} ${-head * 0.7}v${head * 1.4}z`} />
            {share > 2.85 && <path d={`M${tip - way * 16} 17l${way * 6} 14`} />}
            <Label x={MIDDLE * (1 + way)} y={59} text={`update ${size}`} />
          </g>
        </svg>
      )}
      <p class={lost ? "problem" : "dim"}>{sentence}</p>
    </>
  );
}
