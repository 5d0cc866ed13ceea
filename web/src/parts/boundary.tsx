// The output over the plane, large, with the points; while a unit is pointed at, that unit's own picture.
import { useEffect, useRef } from "preact/hooks";
import { type Look, wordsOf } from "../levels/network_look.ts";
import type { Network, Points } from "../types.ts";
import { paint } from "./picture.ts";

const SIZE = 560; // pixels of the points' canvas

/** Circles above zero, diamonds below; what is held back for the test is hollow. */
function dot(canvas: HTMLCanvasElement, { x, y, label, test }: Points): void {
  const pen = canvas.getContext("2d")!;
  canvas.width = canvas.height = SIZE;
  const trained = x.length - test;
  const r = trained > 400 ? 5 : 8;
  x.forEach((_, n) => {
    const colour = label[n]! < 0 ? "#b35900" : "#0a5cb0";
    const [fill, line] = n < trained ? [colour, "#fff"] : ["#fff", colour];
    pen.setTransform(1, 0, 0, 1, ((x[n]! + 1) / 2) * SIZE, ((1 - y[n]!) / 2) * SIZE);
    pen.beginPath();
    if (label[n]! < 0) {
      pen.rotate(Math.PI / 4);
      pen.rect(-r, -r, 2 * r, 2 * r);
    } else pen.arc(0, 0, r, 0, 7);
    pen.lineWidth = n < trained ? 2 : 4;
    pen.strokeStyle = line;
    pen.fillStyle = fill;
    pen.globalAlpha = 0.4 + 0.6 * Math.abs(label[n]!);
    pen.fill();
    pen.stroke();
  });
}

interface Props {
  net: Network;
  look: Look;
  points: Points | null;
  add?: (x: number, y: number) => void; // what a click on the plane does, with its place from −1 to 1
}

export function Boundary({ net, look, points, add }: Props) {
  const picture = useRef<HTMLCanvasElement>(null);
  const dots = useRef<HTMLCanvasElement>(null);
  const frame = look.frame.value;
  const spot = look.over.value;
  const own = spot && spot.i < 0 && spot.l < net.sizes.length - 1 && frame.pictures[spot.l]?.[spot.o];
  const ring = frame.batch?.[look.example.value];
  const words = own ? wordsOf(net, spot) : "output";
  const [low, middle, high] = (!own && frame.legend) || ["below", "0", "above"];
  useEffect(() => paint(picture.current!, own || frame.output, own ? frame.side : frame.outputSide, true), [frame, own]);
  useEffect(() => {
    if (points) dot(dots.current!, points);
  }, [points]);
  return (
    <figure class="surface">
      <figcaption>
        <b>{words}</b> <span class="dim">over {net.inputs.slice(0, 2).join(" and ")}</span>
      </figcaption>
      <div
        class={add ? "map adds" : "map"}
        onClick={({ offsetX, offsetY, currentTarget: { clientWidth, clientHeight } }) =>
          add?.((offsetX / clientWidth) * 2 - 1, 1 - (offsetY / clientHeight) * 2)
        }
      >
        <canvas ref={picture} role="img" aria-label={`${words}: blue above the middle, orange below`} />
        <canvas ref={dots} />
        {points && ring !== undefined && <i style={`left:${50 + 50 * points.x[ring]!}%;top:${50 - 50 * points.y[ring]!}%`} />}
      </div>
      <p class="ramp">
        {low} <i /> {middle} <i /> {high}
      </p>
      {points && (
        <p class="dim">
          ● above, ◆ below{points.test > 0 && "; hollow: held back for the test"}
          {ring !== undefined && "; ring: the example looked at"}
        </p>
      )}
    </figure>
  );
}
