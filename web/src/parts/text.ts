// What an answer says, line by line, in the words of `whygrad why`: drawn by why.tsx, copied by copy.tsx.
import type { Equation, Node, Token } from "../types.ts";

export const MARKS: Record<string, string> = { same: "✓", replayed: "≈", opaque: "?", differs: "✗" };

/** What stands after `address = value`. */
export function roleOf(node: Node): string {
  const { sign, words } = node.verdict;
  return sign === "given" && words ? `${node.role} · ${words}` : node.role;
}

const plain = (tokens: Token[]): string => tokens.map((each) => (typeof each === "string" ? each : each[1])).join("");

/** What follows the equals signs, nothing twice in a row. */
export function rightSides(equation: Equation): Token[][] {
  const lines = [equation.symbolic, equation.numeric, [equation.result]].filter((line) => line.length);
  return lines.filter((line, i) => !i || plain(line) !== plain(lines[i - 1]!));
}

/** What was checked, and behind it how it was rounded and where it happened. */
export function checked(node: Node): [string, string[]] {
  const { sign, words, rounding } = node.verdict;
  return [MARKS[sign] ? `${words} ${MARKS[sign]}` : "", [rounding, ...node.where].filter(Boolean)];
}

/** `how`, `reason` and the notes, in the terminal's order. */
export const remarks = (node: Node): string[] => [node.verdict.how, node.verdict.reason, ...node.notes].filter(Boolean);

/** The whole answer as text, as `whygrad why --depth 1` prints it, without the tree's lines. */
export function textOf(node: Node, known: (address: string) => Node | undefined): string {
  const head = (each: Node) => `${each.address} = ${each.value}  ${roleOf(each)}`;
  const said = (each: Node) => {
    const [mark, rest] = checked(each);
    return [[mark, ...rest].filter(Boolean).join(" · "), ...remarks(each)].filter(Boolean);
  };
  const lines: string[] = [];
  if (node.equation) {
    const { left, note } = node.equation;
    lines.push(...rightSides(node.equation).map((line, i) => `${i ? left.replace(/./gu, " ") : left} = ${plain(line)}`), note);
  }
  lines.push(...said(node));
  for (const address of new Set(node.operands)) {
    const operand = known(address);
    lines.push(...(operand ? [head(operand), ...said({ ...operand, notes: [] }).map((each) => `  ${each}`)] : [address]));
  }
  return [head(node), ...lines.filter(Boolean).map((line) => `  ${line}`)].join("\n");
}
