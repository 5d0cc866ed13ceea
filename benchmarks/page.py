"""How large the page is, how soon it shows, and how fast a live one trains and draws.

In a real Chromium without a window. Bytes: of the script of each level, and of whole pages as `whygrad show` writes them.
First contentful paint: what the browser's own paint timing says of a page opened from disk, each time in a new context. Live:
`whygrad play` in a process of its own, its page at *fastest*; frames are those that the browser gives the page
(requestAnimationFrame), steps are read off the page; rounds of plain PyTorch on the same training and batches take turns
with them.
"""

from __future__ import annotations

import gzip
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import play
from benchmarks.report import Table, ratio
from tests.browser.chromium import NoBrowser, Tabs, chromium
from tests.browser.recorded import save, show
from whygrad.render import page as rendered

MOST_BYTES, MOST_ZIPPED = 60_000, 20_000
"""Of a level's script."""
PAINT = 300
"""Milliseconds to the first contentful paint."""
FRAMES = 50
"""Frames a second while the training plays."""
STEPS = play.BAR
PAGES = {
    "neuron": ("one neuron, 20 steps", 100_000),
    "xor": ("xor, 12 steps", 5_000_000),
    "gpt": ("a small GPT", 5_000_000),
    "large": ("100 million parameters", 5_000_000),
}
"""What each page shows, and its bar in bytes."""

_PAINTED = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    const found = list.getEntriesByName("first-contentful-paint")[0];
    if (found) resolve(found.startTime);
  }).observe({ type: "paint", buffered: true });
})"""
_PLAYED = """async (seconds) => {
  const root = document.getElementById("whygrad").shadowRoot;
  const group = root.querySelector('[role=group][aria-label="Training"]');
  const step = () => Number(/step\\s+(\\d+)\\s+of/.exec(group.textContent)?.[1] ?? 0);
  const press = (name) => [...group.querySelectorAll("button")].find((each) => each.textContent.includes(name)).click();
  const speed = group.querySelector("select");
  speed.selectedIndex = speed.options.length - 1;
  speed.dispatchEvent(new Event("change", { bubbles: true }));
  const frame = () => new Promise(requestAnimationFrame);
  press("Play");
  for (let i = 0; i < 30; i++) await frame();
  const [begun, first] = [performance.now(), step()];
  let frames = 0;
  while (performance.now() - begun < 1000 * seconds) {
    await frame();
    frames++;
  }
  const [took, steps] = [(performance.now() - begun) / 1000, step() - first];
  press("Pause");
  return [steps / took, frames / took];
}"""


def report(quick: bool) -> str:
    """The section of docs/benchmarks.md; without a Chromium it says so, and holds the bytes of the scripts alone."""
    head, about = (__doc__ or "").split("\n\n", 1)
    parts = ["## The page", f"{head} {about.strip()}".replace("\n", " "), scripts()]
    try:
        with chromium() as browser, tempfile.TemporaryDirectory() as folder:
            tabs = Tabs(browser)
            parts += [pages(tabs, Path(folder), quick), live(tabs, quick)]
    except NoBrowser as missing:
        parts.append(f"Not measured here: {missing}.")
    return "\n\n".join(parts)


def scripts() -> str:
    """Bytes of each level's script."""
    rows: list[list[str]] = []
    for level in ("neuron", "network", "run"):
        code = rendered.bundle(level).encode()
        zipped = len(gzip.compress(code, 9, mtime=0))
        met = _met(len(code) <= MOST_BYTES and zipped <= MOST_ZIPPED)
        rows.append([level, f"{len(code):,}", f"{zipped:,}", f"≤ {MOST_BYTES:,}, ≤ {MOST_ZIPPED:,}: {met}"])
    return Table(["script of the level", "bytes", "gzipped", "bar"], rows, (1, 2)).markdown()


def pages(tabs: Tabs, folder: Path, quick: bool) -> str:
    """Bytes of whole pages, and when each is first painted."""
    rows: list[list[str]] = []
    for name, (what, most) in PAGES.items():
        if quick and name == "large":
            continue
        page = show(save(name, folder))
        size = page.stat().st_size
        paint = painted(tabs, page, 3 if quick else 9)
        bar = f"≤ {most:,}: {_met(size <= most)}; ≤ {PAINT} ms: {_met(paint <= PAINT)}"
        rows.append([what, f"{size:,}", f"{paint:.0f}", bar])
    return Table(["page", "bytes", "first contentful paint (ms)", "bar"], rows, (1, 2)).markdown()


def painted(tabs: Tabs, page: Path, times: int) -> float:
    """Median milliseconds until a page is first painted."""
    found: list[float] = []
    for _ in range(times):
        found.append(tabs.open(page.as_uri()).evaluate(_PAINTED))
        tabs.close()
    return statistics.median(found)


def live(tabs: Tabs, quick: bool) -> str:
    """Steps and frames a second while a live page plays, beside plain PyTorch."""
    seconds, rounds = (1.0, 2) if quick else (3.0, 5)
    found: dict[str, list[tuple[float, float]]] = {"plain": [], "network": [], "neuron": []}
    with served("network") as network, served("neuron") as neuron:
        opened = {"network": tabs.open(network), "neuron": tabs.open(neuron)}
        for _ in range(rounds):
            found["plain"].append(play.plain(seconds))
            for name, page in opened.items():
                page.bring_to_front()
                steps, frames = page.evaluate(_PLAYED, seconds)
                found[name].append((steps, frames))
        tabs.close()
    return _live_table(found)


@contextmanager
def served(what: str) -> Generator[str]:
    """The address of `whygrad play WHAT`, in a process of its own."""
    program = f"import sys; from whygrad.cli import main; sys.exit(main(['play', '--no-open', {what!r}]))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = re.search(r"http://\S+", process.stdout.readline())
            if said is None:
                raise RuntimeError(f"`whygrad play {what}` did not say where it is")
            yield said[0]
        finally:
            process.kill()


def _live_table(found: dict[str, list[tuple[float, float]]]) -> str:
    middle = {name: [statistics.median(each) for each in zip(*rounds, strict=True)] for name, rounds in found.items()}
    base = middle["plain"][0]
    rows = [["plain PyTorch, 2-4-2-1, batches of 10", f"{base:,.0f}", ratio(1.0), "–", "–"]]
    for name, what in {"network": "`whygrad play network`, the same", "neuron": "`whygrad play`, one neuron"}.items():
        steps, frames = middle[name]
        bar = f"≥ {FRAMES} frames: {_met(frames >= FRAMES)}"
        if name == "network":
            bar = f"≥ {STEPS:,} steps: {_met(steps >= STEPS)}; {bar}"
        share = ratio(steps / base) if name == "network" else "–"
        rows.append([what, f"{steps:,.0f}", share, f"{frames:.0f}", bar])
    return Table(["playing, as the page sees it", "steps/s", "ratio", "frames/s", "bar"], rows, (1, 2, 3)).markdown()


def _met(held: bool) -> str:
    return "met" if held else "missed"
