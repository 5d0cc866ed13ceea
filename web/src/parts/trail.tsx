// How one came here: w ← ∂loss/∂w ← ŷ. Each label leads back.
import { useStore } from "../store.ts";
import { asking } from "./num.tsx";

export function Trail() {
  const store = useStore();
  const trail = store.trail.value;
  if (trail.length < 2) return null;
  return (
    <nav aria-label="The way here">
      <ol class="trail">
        {trail.map((address, place) => (
          <li key={address}>
            {place ? " ← " : ""}
            <button
              {...asking(store, address, place - 1)}
              title={address}
              aria-current={place === trail.length - 1 ? "step" : undefined}
            >
              {store.nodes.value.get(address)?.label || address}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}
