// A saved page's host: everything it knows stands in the page itself. What does not, it answers with the command that does.
import { textOf } from "../parts/text.ts";
import { unpackNodes } from "./unpack.ts";
import type { Asks, Host, Node, Page, Tile } from "../types.ts";

type Answers = { [K in keyof Asks]?: (what: Asks[K]["in"]) => Asks[K]["out"] };

/** `text`: the page's JSON, as Python wrote it. */
export async function fileHost(text: string): Promise<Host> {
  const page = JSON.parse(text) as Page;
  const nodes = page.nodes ? await unpackNodes(page.nodes) : [];
  return { kind: "file", page, ask: asker(page, new Map(nodes.map((node) => [node.address, node]))) };
}

/** A shell's word in double quotes. */
const word = (text: string) => `"${text.replace(/["$`\\]/g, "\\$&")}"`;

function asker(page: Page, nodes: Map<string, Node>): Host["ask"] {
  const file = word(page.file || "RUN.why");

  const command = (address: string, options = "") => `whygrad why ${file} ${word(address)}${options}`;

  function known(address: string): Node {
    const node = nodes.get(address);
    if (node) return node;
    throw new Error(`This number is not in the page. Its explanation: ${command(address)}`);
  }

  /** The node and its operands. Of one that was not gone into there is only the number; the error brings it along. */
  function why({ address }: Asks["why"]["in"]): Asks["why"]["out"] {
    const node = known(address);
    if (!node.more || node.operands.length)
      return { nodes: [node, ...node.operands.flatMap((each) => nodes.get(each) ?? [])] };
    const sentence = `What made it is not in the page. Its explanation: ${command(address)}`;
    throw Object.assign(new Error(sentence), { nodes: [node] });
  }

  function copy({ address, as }: Asks["copy"]["in"]): Asks["copy"]["out"] {
    const node = known(address);
    const text = { latex: node.equation?.latex, text: textOf(node, (each) => nodes.get(each)), python: node.python }[as];
    if (text) return { text };
    throw new Error(node.equation ? `This command gives it: ${command(address, ` --${as}`)}` : "It has no equation.");
  }

  function tile(what: Asks["tile"]["in"]): Tile {
    const tiles = page.run?.tiles ?? [];
    const found = tiles.find((each) => each.name === what.name && each.what === what.what && each.step === what.step && !what.zoom);
    if (found) return found;
    throw new Error(`This part of ${what.name} is not in this page. Every part is shown by: whygrad play ${file}`);
  }

  const answers: Answers = {
    why,
    copy,
    tile,
    values: ({ addresses }) => ({ values: addresses.map((each) => nodes.get(each)?.value ?? null) }),
  };

  return (kind, what) =>
    new Promise((resolve) => {
      const answer = answers[kind];
      if (!answer) throw new Error(`A saved page cannot do that. The live page can: whygrad play ${file}`);
      resolve(answer(what));
    });
}
