// The buttons of the training: to start, back, step, play; its speed; a slider over the steps done.
import { useStore } from "../store.ts";
import { SPEEDS, playOf } from "./play.ts";
import { placeOf, watched } from "./steps.ts";

function Icon({ d }: { d: string }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}

export function Player() {
  const store = useStore();
  const play = playOf(store);
  const page = store.page.value;
  const step = store.step.value;
  const list = watched(page);
  const at = list ? placeOf(list, step) : step;
  const first = list ? 0 : -1; // a live network can be looked at untrained
  const last = list ? list.length - 1 : Math.max(step, page.table.steps.at(-1) ?? 0);
  const stepAt = (place: number) => (list ? (list[place]?.step ?? 0) : place);
  const jump = (name: string, d: string, to: number) => (
    <button title={name} aria-label={name} disabled={at <= first} onClick={() => play.goto(stepAt(to))}>
      <Icon d={d} />
    </button>
  );
  return (
    <div class="player" role="group" aria-label="Training">
      {jump("To the start", "M3 3h2v10H3zM13 3v10L6 8z", first)}
      {jump("One step back", "M11 3v10L4 8z", at - 1)}
      <button class="main" disabled={at >= last && !page.live} onClick={play.step}>
        <Icon d="M3 3v10l7-5zM11 3h2v10h-2z" /> Step
      </button>
      <button onClick={play.toggle}>
        {play.playing.value ? <Icon d="M4 3h3v10H4zM9 3h3v10H9z" /> : <Icon d="M4 2v12l9-6z" />}{" "}
        {play.playing.value ? "Pause" : "Play"}
      </button>
      {play.training && <button onClick={play.training.reset}>Reset</button>}
      <select aria-label="Speed" value={play.speed.value} onChange={(e) => (play.speed.value = Number(e.currentTarget.value))}>
        {SPEEDS.map((rate) => (
          <option value={rate}>{rate < Infinity ? `${rate} step${rate > 1 ? "s" : ""}/s` : "fastest"}</option>
        ))}
      </select>
      <label class="steps">
        <span>
          {step < 0 ? (
            "untrained"
          ) : (
            <>
              step <b>{step}</b> of {stepAt(last)}
            </>
          )}
        </span>
        <input
          type="range"
          min={first}
          max={Math.max(last, first + 1)}
          value={at}
          disabled={last <= first}
          onInput={(e) => play.goto(stepAt(Number(e.currentTarget.value)))}
        />
      </label>
    </div>
  );
}
