"""The orders of summation as inert records, with names for users. `whygrad.floats.summation` evaluates them.

`Chain`    acc ← acc + t[k], k = 0 … n-1.
`Pairs`    the same with every two neighbours swapped: AVX512-BF16's vdpbf16ps adds the odd product, then
the even. `Panels`   chains over panels of k, their sums added in order: a matrix product blocked for the
cache. `Blocks`   every other block of `size` terms is summed on its own before it is added. `Lanes`
SIMD: `registers` vectors of `width` lanes, joined at the end. `HalfDot`  PyTorch's dot product of float16
and bfloat16 (ReducedPrecisionFloatGemvFastPathKernel.cpp). `Cascade`  PyTorch's sum
(aten/src/ATen/native/cpu/SumKernel.cpp). `NllCascade`  the running sums of nll_loss
(aten/src/ATen/native/LossNLL.cpp). `Tree`     any binary tree, as found out by
`whygrad.floats.summation_reveal`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from whygrad.floats.summation_cascade import Cascade, NllCascade

__all__ = [
    "Blocks",
    "Cascade",
    "Chain",
    "HalfDot",
    "Lanes",
    "NllCascade",
    "Order",
    "Pairs",
    "Panels",
    "Parts",
    "Pattern",
    "Planes",
    "Tree",
    "TreeItems",
    "simplify",
    "tree_text",
]

TreeItems: TypeAlias = "tuple[range | TreeItems, ...]"


@dataclass(frozen=True)
class Chain:
    """One accumulator, k = 0 … n-1. from_zero: it starts at +0, so that a sum of nothing but -0 is +0."""

    from_zero: bool = True

    @property
    def text(self) -> str:
        """For users."""
        return "chain over k" if self.from_zero else "chain over k from the first term"


@dataclass(frozen=True)
class Pairs:
    """One accumulator over pairs, the second of each pair first. A missing last partner is a zero."""

    @property
    def text(self) -> str:
        """For users."""
        return "chain over pairs of k, the second of a pair first"


@dataclass(frozen=True)
class Lanes:
    """`peel` terms one by one into lane 0, then rows of `registers`·`width` lanes, then what is left.

    multiple: the rows hold a multiple of so many terms, if that is more than a row.
    registers_join: how the vectors become one: "adjacent": (r0+r1)+(r2+r3); "in turn": ((r0+r1)+r2)+r3.
    lanes_join: how the lanes of that one become a number: "halving": lane i + lane i+width/2, again and
    again; "in turn". rest: where terms go that fill no row: "after": one by one onto the total; "lanes": a
    last row that is not full; "fused lanes": so too, and products are rounded before they are added but in
    that row; "fused after": as "after", and products are rounded before they are added but for the last n mod 4 of those;
    "lane 0": whole vectors into the first registers, single terms one by one into lane 0.
    rest_registers: of those vectors, so many go into the first registers at a time.
    """

    width: int
    registers: int = 1
    peel: int = 0
    multiple: int = 0
    registers_join: Literal["adjacent", "in turn"] = "adjacent"
    lanes_join: Literal["halving", "in turn"] = "halving"
    rest: Literal["after", "lanes", "fused lanes", "fused after", "lane 0"] = "after"
    rest_registers: int = 1

    @property
    def text(self) -> str:
        """For users."""
        lanes = f"{self.width} lanes" + (f" × {self.registers}" if self.registers > 1 else "")
        before = f"{self.peel} single terms, then " if self.peel else ""
        join = "a tree" if self.lanes_join == "halving" else "added in turn"
        return f"{before}{lanes}, then {join}"

    def body(self, n: int) -> tuple[int, int]:
        """Where the rows of a sum of n terms begin and end."""
        row = max(self.multiple, self.width * self.registers)
        start = min(self.peel, n)
        return start, start + (n - start) // row * row


@dataclass(frozen=True)
class Panels:
    """Panels of at most `size` terms, each summed by `inner` from zero; their sums added in order.

    balance: "none": the last panel takes what is left; "half": a sum of `size` < n < 2·`size` is cut in two
    halves; "last two": so is what is left once it is between one and two sizes. A half is even.
    """

    size: int
    balance: Literal["none", "half", "last two"] = "none"
    inner: Chain | Pairs | Lanes | Cascade = Chain()

    @property
    def text(self) -> str:
        """For users."""
        return f"{self.inner.text}, in panels of {self.size}"

    def ends(self, n: int) -> list[int]:
        """Where the panels of a sum of n terms end."""
        ends: list[int] = []
        at = 0
        while at < n:
            two_left = self.size < n - at < 2 * self.size
            if two_left and (self.balance == "last two" or (self.balance == "half" and at == 0)):
                ends.append(at + 2 * -(-(n - at) // 4))
                ends.append(n)
                break
            at = min(at + self.size, n)
            ends.append(at)
        return ends


@dataclass(frozen=True)
class Blocks:
    """Blocks of `size`: those of even number continue the accumulator, the others are summed apart, then
    added.
    """

    size: int

    @property
    def text(self) -> str:
        """For users."""
        return f"chain over k, every other block of {self.size} summed apart"


@dataclass(frozen=True)
class HalfDot:
    """Rows of `lanes` lanes, halved to one number; then an even number of rows of `vector` lanes; then one
    by one.
    """

    lanes: int = 64
    vector: int = 8

    @property
    def text(self) -> str:
        """For users."""
        return f"{self.lanes} lanes, then {self.vector}, each then a tree, then single terms"


@dataclass(frozen=True)
class Tree:
    """A binary tree as items added from left to right: a range continues the accumulator term by term, a
    nested tuple is summed apart and then added. The index n stands for the initial value (a bias).

    label: what the tree is, for users, where it has a name. stored: a 16-bit format in which sums lie on the way: those
    that begin with an empty range are rounded to it.
    """

    items: TreeItems
    label: str = ""
    stored: str = ""

    @property
    def text(self) -> str:
        """For users."""
        text = self.label or tree_text(self.items)
        shown = (
            text
            if self.label
            else f"as the kernel adds: {text}"
            if len(text) <= 120
            else "as the kernel was seen to add"
        )
        return f"{shown}, partial sums kept in {self.stored}" if self.stored else shown


@dataclass(frozen=True)
class Parts:
    """Parts of `size` terms, each summed from zero by `inner`, added in turn onto zero: what each thread, or each plane of
    an image, adds up. wide: that sum is in double. stored: `inner`, a chain, is rounded to 16 bits after each addition.
    """

    size: int
    inner: Chain | Lanes = Chain()
    wide: bool = False
    stored: Literal["", "float16", "bfloat16"] = ""

    @property
    def text(self) -> str:
        """For users."""
        stored = f", kept in {self.stored}" if self.stored else ""
        return f"{self.inner.text}, in parts of {self.size}{stored}" + (
            " that are added in double" if self.wide else ""
        )


@dataclass(frozen=True)
class Planes:
    """Planes of `size` terms one after the other: in each, whole groups of `multiple` go to `width` lanes, which run on
    from plane to plane, and what is left over to one running sum; the lanes, added in turn, are added to that.
    fused_rest: the products of those left over are not rounded, where the order is fused.
    """

    size: int
    width: int
    multiple: int
    fused_rest: bool = False

    @property
    def text(self) -> str:
        """For users."""
        return f"{self.width} lanes over planes of {self.size}, then added in turn to a chain over the rests"


Pattern: TypeAlias = Chain | Pairs | Panels | Blocks | Lanes | HalfDot | Cascade | NllCascade | Tree | Parts | Planes


@dataclass(frozen=True)
class Order:
    """One way of summing.

    fused: a[k]·b[k] is not rounded before it is added (FMA). init: whether an initial value (a bias) is where
    the outermost accumulator starts, or is added to the finished sum. flush: subnormal factors, and
    sums after every step, count as zero (vdpbf16ps). A `Tree` holds its initial value itself.
    """

    pattern: Pattern
    fused: bool = False
    init: Literal["first", "last", "none"] = "none"
    flush: bool = False

    def __post_init__(self) -> None:
        if self.fused and isinstance(self.pattern, Cascade | NllCascade):
            found = "products that are not rounded (fused)"
            raise ValueError(f"expected terms for a {self.pattern.text}, found {found}")

    @property
    def name(self) -> str:
        """Short, for users: "FMA chain over k, bias last"."""
        bias = f", bias {self.init}" if self.init != "none" else ""
        return ("FMA " if self.fused else "") + self.pattern.text + bias


def simplify(order: Order, n: int) -> Order:
    """The plainest order that does the same to n terms: a sum of one panel is a chain, and so on."""
    # What starts at zero has its initial value added to its sum.
    init = "last" if order.init == "first" else order.init
    match order.pattern:
        case Panels(size, _, inner) if n <= size:
            return simplify(replace(order, pattern=inner, init=init), n)
        case Lanes(rest="after") as lanes if lanes.body(n)[0] == lanes.body(n)[1]:
            return replace(order, pattern=Chain(), init=init)
        case HalfDot() as dot if n < 2 * dot.vector:
            return replace(order, pattern=Chain(), init=init)
        case Blocks(size) if n <= size:
            return replace(order, pattern=Chain())
        case _:
            return order


def tree_text(items: TreeItems) -> str:
    """`items` in one line: '0‥3 (4‥7) 8' is (((0+1)+2)+3) + ((4+5+6)+7), then + 8; '0‥8/4' counts in
    fours.
    """
    parts: list[str] = []
    for item in items:
        if not isinstance(item, range):
            parts.append(f"({tree_text(item)})")
        elif not item:
            continue  # the mark of a sum that is stored
        elif len(item) == 1:
            parts.append(str(item[0]))
        else:
            parts.append(f"{item[0]}‥{item[-1]}" + (f"/{item.step}" if item.step != 1 else ""))
    return " ".join(parts)
