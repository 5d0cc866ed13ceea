"""Finding out the order of a summation by asking the kernel itself.

Method: P. Xie, Y. Gao, Y. Wang, J. Xue, "FPRev: Revealing Floating-Point Summation Order" (USENIX ATC
2025). All terms are one small unit, except two: +M and -M, with M so large that a unit added to it is lost.
What was added to either of the two before they met is lost; what came later is counted in the result. So n
minus the result is the number of terms under the point where the two meet, and those numbers for all pairs
are the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whygrad.floats.summation_patterns import TreeItems

__all__ = ["Masks", "masks", "meeting_sizes", "reveal", "runs"]

Kernel = Callable[[list[float]], float]


@dataclass(frozen=True)
class Masks:
    """What to put in: `big` hides a `unit` and all the sums of up to `countable` units; both exact in the
    format.

    A result of up to `countable` units is exact in the format too: ask for more terms in several calls.
    """

    big: float
    unit: float
    countable: int


_MASKS = {
    "float64": Masks(2.0**60, 2.0**-20, 1 << 26),
    "float32": Masks(2.0**30, 2.0**-20, 1 << 23),
    "float16": Masks(2.0**15, 2.0**-20, 1 << 10),
    "bfloat16": Masks(2.0**60, 2.0**-20, 1 << 8),
}


def masks(dtype: str) -> Masks:
    """The masks for numbers of `dtype` accumulated in float32 or wider. Raises KeyError for any other
    dtype.
    """
    return _MASKS[dtype]


def meeting_sizes(kernel: Kernel, n: int, mask: Masks) -> Callable[[int, Sequence[int]], list[int]]:
    """For i and each of js: how many of the n terms lie under the point of the tree where the two meet.

    `kernel` maps n terms to their sum as it is stored; where it sums products, the term goes into one
    factor and a one into the other.
    """

    def sizes(i: int, js: Sequence[int]) -> list[int]:
        return [n - round(sum(_counts(kernel, n, mask, i, j))) for j in js]

    return sizes


def _counts(kernel: Kernel, n: int, mask: Masks, i: int, j: int) -> list[float]:
    counts: list[float] = []
    for at in range(0, n, mask.countable):
        terms = [mask.unit if at <= k < at + mask.countable else 0.0 for k in range(n)]
        terms[i], terms[j] = mask.big, -mask.big
        counts.append(kernel(terms) / mask.unit)
    return counts


def reveal(sizes: Callable[[int, Sequence[int]], Sequence[int]], n: int) -> TreeItems:
    """The tree in which n ≥ 1 terms are summed, given the sizes at which pairs meet: see `meeting_sizes`.

    About n calls for chains, lanes and panels; n²/2 at worst. A step that adds three terms at once shows as
    two steps: compare what the tree gives with the kernel's own result on other numbers.
    """
    return _subtree(sizes, list(range(n)))


def _subtree(sizes: Callable[[int, Sequence[int]], Sequence[int]], members: list[int]) -> TreeItems:
    first, others = members[0], members[1:]
    met: dict[int, list[int]] = {}
    for other, size in zip(others, sizes(first, others), strict=True):
        met.setdefault(size, []).append(other)
    items: list[int | TreeItems] = [first]
    for size in sorted(met):
        group = met[size]
        items.append(group[0] if len(group) == 1 else _subtree(sizes, group))
    return runs(items)


def runs(items: Sequence[int | TreeItems]) -> TreeItems:
    """Neighbouring leaves at equal distances become one range."""
    out: list[range | TreeItems] = []
    for item in items:
        if not isinstance(item, int):
            out.append(item)
            continue
        last = out[-1] if out else None
        if isinstance(last, range) and len(last) == 1 and item != last[0]:
            step = item - last[0]
            out[-1] = range(last[0], item + (1 if step > 0 else -1), step)
        elif isinstance(last, range) and len(last) > 1 and item == last[-1] + last.step:
            out[-1] = range(last[0], item + (1 if last.step > 0 else -1), last.step)
        else:
            out.append(range(item, item + 1))
    return tuple(out)
