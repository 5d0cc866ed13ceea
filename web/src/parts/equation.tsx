// An equation, its lines aligned at the equals sign: with names, with numbers, the result. Each name and number is a button.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "../signals.ts";
import { useStore } from "../store.ts";
import type { Node, Token } from "../types.ts";
import { asking } from "./num.tsx";
import { rightSides } from "./text.ts";

/** `at`: the place of `node` in the trail. */
export function Equation({ node, at }: { node: Node; at: number }) {
  const store = useStore();
  const near = useSignal(-1); // the operand under the pointer: its name and its number show that they belong together
  const equation = node.equation;
  if (!equation) return null;

  const piece = (token: Token) => {
    // A line may be broken before an operator and after a comma, and nowhere else.
    if (typeof token === "string") return token.split(/(?<= )(?=\S+ )|(?<=, )/).flatMap((each, i) => (i ? [<wbr />, each] : each));
    const [place, text] = token;
    const address = node.operands[place]!;
    const operand = store.nodes.value.get(address);
    const words = [operand?.label, operand?.role].filter((each) => each && each !== text).join(", ") || address;
    return (
      <button
        {...asking(store, address, at, near.value === place ? "near" : "")}
        title={`${address}: ${words}`}
        aria-label={`${text}, ${words}. Why?`}
        onPointerEnter={() => (near.value = place)}
        onPointerLeave={() => (near.value = -1)}
        onFocus={() => (near.value = place)}
        onBlur={() => (near.value = -1)}
      >
        {text}
      </button>
    );
  };

  return (
    <>
      <Formula {...equation} />
      <div class="eq">
        {rightSides(equation).map((line, i) => (
          <>
            <span class="left">{i ? "" : equation.left}</span>
            <span>{" = "}</span>
            <span>{line.map(piece)}</span>
          </>
        ))}
      </div>
      {equation.note && <div class="dim">{equation.note}</div>}
    </>
  );
}

/** The equation as a textbook sets it, where that differs from a line of text: fractions, roots, sums. */
function Formula({ left, mathml }: { left: string; mathml: string }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = place.current;
    const text = `<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mtext/><mo>=</mo>${mathml}</math>`;
    const math = new DOMParser().parseFromString(text, "application/xml").documentElement;
    if (!box || math.localName !== "math" || math.querySelector("parsererror")) return;
    math.firstChild!.textContent = left;
    box.replaceChildren(math);
    if (box.scrollWidth > box.clientWidth) box.replaceChildren(); // too long for its place: the lines below say the same
  }, [left, mathml]);
  return /<(mfrac|msqrt|munder|msup)/.test(mathml) ? <div class="formula" aria-hidden="true" ref={place} /> : null;
}
