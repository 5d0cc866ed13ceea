"""What the code of a document says in numbers and names, read from its syntax tree; none of it is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from whygrad.check.prose.document import Code

__all__ = ["CodeFacts", "code_facts"]

_DTYPES = {
    "half": "float16", "float16": "float16", "bfloat16": "bfloat16", "float32": "float32", "double": "float64",
    "float64": "float64", "float8_e4m3fn": "float8_e4m3fn", "float8_e5m2": "float8_e5m2",
}  # fmt: skip
OPTIMIZERS = (
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "LBFGS", "Rprop", "Adafactor", "ASGD",
    "SparseAdam", "Muon",
)  # fmt: skip


@dataclass
class CodeFacts:
    """`literals`: every number written. `named`: numbers under a name: keywords of calls, assigned names, defaults of
    parameters and of command-line options. `calls`: numbers handed to a call, by the call's last name, in order.
    `words`: every name and attribute. `loops`: numbers that ranges run to."""

    literals: set[float] = field(default_factory=set[float])
    named: dict[str, set[float]] = field(default_factory=dict[str, "set[float]"])
    calls: dict[str, list[tuple[float, ...]]] = field(default_factory=dict[str, "list[tuple[float, ...]]"])
    words: set[str] = field(default_factory=set[str])
    strings: set[str] = field(default_factory=set[str])
    loops: set[int] = field(default_factory=set[int])
    dtypes: set[str] = field(default_factory=set[str])
    optimizers: set[str] = field(default_factory=set[str])
    keywords: dict[str, set[str]] = field(default_factory=dict[str, "set[str]"])
    plus_one: bool = False
    any: bool = False


def code_facts(codes: Iterable[Code]) -> CodeFacts:
    """Read all code of a document; cells that are no Python (magics aside) are passed over."""
    found = CodeFacts()
    for code in codes:
        text = re.sub(r"^(\s*)[%!].*$", r"\1pass", code.text, flags=re.MULTILINE)
        text = re.sub(r"^(?:>>>|\.\.\.) ?", "", text, flags=re.MULTILINE)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        found.any = True
        _Reader(found).visit(tree)
    _through_names(found)
    return found


def _through_names(found: CodeFacts) -> None:
    """`range(steps)` where `steps = 20` is written elsewhere."""
    for name in list(found.keywords.get("range", ())):
        found.loops |= {int(x) for x in found.named.get(name, ()) if x == int(x)}
    for keyword, names in list(found.keywords.items()):
        if keyword != "range":
            for name in names:
                found.named.setdefault(keyword, set()).update(found.named.get(name, ()))


class _Reader(ast.NodeVisitor):
    def __init__(self, found: CodeFacts) -> None:
        self.found = found

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            self.found.literals.add(float(node.value))
        elif isinstance(node.value, str):
            self.found.strings.add(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        self._word(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._word(node.attr)
        self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        self._word(node.name.rpartition(".")[2])

    def _word(self, word: str) -> None:
        self.found.words.add(word)
        if word in OPTIMIZERS:
            self.found.optimizers.add(word)
        if word in _DTYPES:
            self.found.dtypes.add(_DTYPES[word])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        value = _number(node)
        if value is not None:
            self.found.literals.add(value)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Add) and isinstance(node.left, ast.Name) and _number(node.right) == 1:
            self.found.plus_one |= node.left.id in ("step", "epoch", "i", "it", "iteration", "t")
        value = _number(node)
        if value is not None:
            self.found.literals.add(value)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assign(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assign(node.target, node.value)
        self.generic_visit(node)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, other in zip(target.elts, value.elts, strict=True):
                self._assign(one, other)
        name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
        number = _number(value)
        if name and number is not None:
            self._named(name, number)

    def visit_arguments(self, node: ast.arguments) -> None:
        for arg, default in zip(reversed(node.args), reversed(node.defaults), strict=False):
            self._default(arg.arg, default)
        for arg, each in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            if each is not None:
                self._default(arg.arg, each)
        self.generic_visit(node)

    def _default(self, name: str, value: ast.expr) -> None:
        number = _number(value)
        if number is not None:
            self._named(name, number)

    def visit_Call(self, node: ast.Call) -> None:
        name = (
            node.func.attr
            if isinstance(node.func, ast.Attribute)
            else node.func.id
            if isinstance(node.func, ast.Name)
            else ""
        )
        numbers = tuple(x for x in (_number(arg) for arg in node.args) if x is not None)
        if numbers:
            self.found.calls.setdefault(name, []).append(numbers)
        if name == "range" and node.args:
            self._range(node.args)
        if name == "manual_seed" and numbers:
            self._named("seed", numbers[0])
        if name == "add_argument":
            self._option(node)
        if name in OPTIMIZERS and len(node.args) > 1:
            number = _number(node.args[1])
            if number is not None:
                self._named("lr", number)
        for keyword in node.keywords:
            self._keyword(keyword)
        self.generic_visit(node)

    def _keyword(self, keyword: ast.keyword) -> None:
        if keyword.arg is None:
            return
        number = _number(keyword.value)
        if number is not None:
            self._named(keyword.arg, number)
        if isinstance(keyword.value, ast.Name | ast.Attribute):
            self.found.keywords.setdefault(keyword.arg, set()).add(ast.unparse(keyword.value).rpartition(".")[2])
        if keyword.arg == "betas" and isinstance(keyword.value, ast.Tuple):
            for place, each in enumerate(keyword.value.elts, 1):
                value = _number(each)
                if value is not None:
                    self._named(f"beta{place}", value)

    def _range(self, args: list[ast.expr]) -> None:
        numbers = [_number(arg) for arg in args]
        if len(args) == 1 and numbers[0] is not None:
            self.found.loops.add(int(numbers[0]))
        elif len(args) == 1:
            self.found.keywords.setdefault("range", set()).add(ast.unparse(args[0]).rpartition(".")[2])
        elif numbers[0] is not None and numbers[1] is not None:
            self.found.loops.add(int(numbers[1] - numbers[0]))
            self.found.plus_one |= numbers[0] == 1

    def _option(self, node: ast.Call) -> None:
        flags = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        for keyword in node.keywords:
            number = _number(keyword.value) if keyword.arg == "default" else None
            if number is not None and flags:
                self._named(flags[-1].lstrip("-").replace("-", "_"), number)

    def _named(self, name: str, value: float) -> None:
        self.found.named.setdefault(name, set()).add(value)


def _number(node: ast.expr) -> float | None:
    """A number written out, with a sign or as a simple power or fraction (`-0.5`, `1/3`, `2**-10`)."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            value = _number(inner)
            return None if value is None else -value
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(_number(left), op, _number(right))
        case _:
            return None


def _combined(a: float | None, op: ast.operator, b: float | None) -> float | None:
    if a is None or b is None or max(abs(a), abs(b)) > 1e6:
        return None
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b if b else None
        case ast.Pow():
            return a**b if abs(b) < 300 and (a > 0 or b == int(b)) and abs(a) < 1e3 and a != 0 and abs(b) < 60 else None
        case _:
            return None
