"""Functions turned round: what an argument must be for the result to be given."""

from __future__ import annotations

import math

from whygrad.check.bound import Op, value


def inverse(bound: Op, k: int, y: float) -> list[float]:
    """What argument `k` may be for the operation to be y; empty where nothing is, or where it is not known how to tell."""
    args = [value(arg) for arg in bound.args]
    try:
        match bound.name:
            case "**" if k == 0:
                root = abs(y) ** (1 / args[1])
                return [root, -root] if y >= 0 else [-root]
            case "**":
                return [math.log(y) / math.log(args[0])]
            case "tanh":
                return [math.atanh(y)]
            case "sigmoid":
                return [math.log(y / (1 - y))]
            case "exp":
                return [math.log(y)]
            case "log":
                return [math.exp(y)]
            case "log2":
                return [2.0**y]
            case "log10":
                return [10.0**y]
            case "sqrt":
                return [y * y] if y >= 0 else []
            case "relu":
                return [y] if y > 0 else []
            case "abs":
                return [y, -y] if y >= 0 else []
            case "max" | "min":
                return [y]
            case _:
                return []
    except (ArithmeticError, ValueError):
        return []
