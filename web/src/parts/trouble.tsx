// Said above the page while its host does not answer.
import { useEffect, useState } from "preact/hooks";
import type { Host } from "../types.ts";

export function Trouble({ host }: { host: Host }) {
  const [words, setWords] = useState("");
  useEffect(() => host.trouble?.(setWords), [host]);
  if (!words) return null;
  return (
    <div class="gone" role="alert">
      <span>{words}</span>
      {host.again && <button type="button" class="main" onClick={() => void host.again!()}>Try again</button>}
    </div>
  );
}
