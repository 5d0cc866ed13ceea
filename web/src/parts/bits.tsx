// A number's encoding: its bits in their fields, in hexadecimal, and every decimal digit when asked.
import type { Node } from "../types.ts";

const FIELDS = ["sign", "exponent", "significand"];

export function Bits({ node }: { node: Node }) {
  const fields = node.bits.split("|");
  return (
    <details open>
      <summary>
        {node.format} <code>{node.hex}</code>
      </summary>
      <div class="fields">
        {fields.map((bits, i) => (
          <span>
            <code>
              {[...bits].map((bit) => (
                <i>{bit}</i>
              ))}
            </code>
            <small>{FIELDS[i]}</small>
          </span>
        ))}
      </div>
      <details>
        <summary>every digit</summary>
        <code>{node.exact}</code>
      </details>
    </details>
  );
}
