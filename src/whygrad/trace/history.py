"""The table: a row a step, for all steps, whatever else was kept."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    """One scalar followed over the run. `kind`: loss, prediction, parameter, gradient, hyperparameter, and statistic (of a
    tensor, which `trace.statistics` holds and no table of scalars). `address` lacks the step: `linear.weight[0,0].grad`.
    `format` is the number format of the recorded scalar."""

    name: str
    kind: str
    format: str
    address: str


@dataclass
class History:
    """Columns in the order of the table, and rows of Python floats (every format here fits a double exactly); None where
    a step has no such number."""

    columns: list[Column] = field(default_factory=list[Column])
    steps: list[int] = field(default_factory=list[int])
    rows: list[dict[str, float | None]] = field(default_factory=list[dict[str, float | None]])

    def add(self, step: int, cells: list[tuple[Column, float]]) -> None:
        """Append a row; columns that are new are added at the end of their kind."""
        known = {column.name for column in self.columns}
        for column, _ in cells:
            if column.name not in known:
                known.add(column.name)
                self._insert(column)
        self.steps.append(step)
        self.rows.append({column.name: value for column, value in cells})

    def _insert(self, column: Column) -> None:
        order = ("prediction", "loss", "parameter", "gradient", "hyperparameter", "statistic")
        rank = order.index(column.kind) if column.kind in order else len(order)
        place = len(self.columns)
        while place and order.index(self.columns[place - 1].kind) > rank:
            place -= 1
        self.columns.insert(place, column)

    def column(self, name: str) -> list[float | None]:
        """All values of one column, in row order."""
        return [row.get(name) for row in self.rows]

    def shown(self) -> list[Column]:
        """The columns worth a look: hyperparameters only where they change."""
        return [c for c in self.columns if c.kind != "hyperparameter" or len(set(self.column(c.name))) > 1]

    def short_names(self) -> dict[str, str]:
        """Column name → the same without the module's path, where no other parameter ends so: `linear.weight_grad` →
        `weight_grad`."""
        owners: dict[str, set[str]] = {}
        for column in self.columns:
            tensor = tensor_of(column)
            owners.setdefault(tensor.rpartition(".")[2], set()).add(tensor)
        names: dict[str, str] = {}
        for column in self.columns:
            tensor = tensor_of(column)
            last = tensor.rpartition(".")[2]
            lone = column.kind in ("parameter", "gradient") and len(owners[last]) == 1 and not last[:1].isdigit()
            names[column.name] = last + column.name[len(tensor) :] if lone else column.name
        return names


def tensor_of(column: Column) -> str:
    """The tensor that a column follows one element of: `linear.weight` for `linear.weight[0,0].grad`."""
    name = column.address.removesuffix(".real").removesuffix(".imag").removesuffix(".grad")
    return name.rpartition("[")[0] or name
