// Said above the page while its host does not answer.
import { useEffect } from "preact/hooks";
import { useSignal } from "../signals.ts";
import type { Host } from "../types.ts";

export function Trouble({ host }: { host: Host }) {
  const words = useSignal("");
  useEffect(() => host.trouble?.((said) => void (words.value = said)), [host]);
  if (!words.value) return null;
  return (
    <div class="gone" role="alert">
      <span>{words.value}</span>
      {host.again && <button class="main" onClick={() => void host.again!()}>Try again</button>}
    </div>
  );
}
