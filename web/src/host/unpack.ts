// The nodes of a saved page, unpacked: the way back from src/whygrad/view/pack.py.
import type { Node } from "../types.ts";

interface Packed {
  order: number[]; // the template of each node
  templates: [pieces: string[], holes: number[]][]; // text around the holes, and which column fills each
  columns: string[]; // numbers with a space between; a template's n-th node takes the n-th of each
}

/** The nodes of a page's `nodes` field, in their order. */
export async function unpackNodes(packed: unknown): Promise<Node[]> {
  const bytes = Uint8Array.from(atob((packed as { deflated: string }).deflated), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const { order, templates, columns } = (await new Response(stream).json()) as Packed;
  const split = columns.map((column) => column.split(" "));
  const done = templates.map(() => 0);
  return order.map((k) => {
    const [pieces, holes] = templates[k]!;
    const row = done[k]!++;
    return withHex(JSON.parse(pieces.map((piece, i) => (i ? split[holes[i - 1]!]![row] : "") + piece).join("")));
  });
}

/** Hexadecimal digits are the bits in groups of four; Python leaves them out where that is so. */
function withHex(node: Node): Node {
  if ((node.hex as unknown) === 0) {
    const digits = node.bits.replaceAll("|", "");
    node.hex = digits && `0x${BigInt(`0b${digits}`).toString(16).padStart(digits.length >> 2, "0")}`;
  }
  return node;
}
