"""The table as Arrow IPC streams: a column `@step`, and a nullable float64 column for each scalar that is
followed, with its kind, number format and address in the field's metadata.
https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

from typing import Any

from whygrad.errors import RunFileError
from whygrad.trace.history import Column, History

Rows = list[tuple[int, list[tuple[Column, float]]]]
_STEP = "@step"
_MOST_ROWS = 1 << 28


def pack(history: History, start: int = 0, stop: int | None = None) -> bytes:
    """Rows `start` … `stop` of the table, as one Arrow IPC stream."""
    import pyarrow as pa

    rows = history.rows[start:stop]
    fields: list[Any] = [pa.field(_STEP, pa.int64(), nullable=False)]
    arrays: list[Any] = [pa.array(history.steps[start:stop], pa.int64())]
    for column in history.columns:
        cells = [row.get(column.name) for row in rows]
        if all(cell is None for cell in cells):
            continue
        meta = {"kind": column.kind, "format": column.format, "address": column.address}
        fields.append(pa.field(column.name, pa.float64(), metadata=meta))
        arrays.append(pa.array(cells, pa.float64()))
    schema = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def unpack(raw: bytes, where: str, history: History) -> None:
    """Append the rows of an Arrow IPC stream to `history`. Raises RunFileError when it is none, or not a
    table of ours."""
    import pyarrow as pa

    try:
        table: Any = pa.ipc.open_stream(pa.py_buffer(raw)).read_all()
        table.validate(full=True)
        columns = [_column(field) for field in list(table.schema)[1:]]
        first = table.schema.field(0)
        right = (
            first.name == _STEP
            and first.type == pa.int64()
            and all(f.type == pa.float64() for f in list(table.schema)[1:])
        )
        if not right or table.num_rows > _MOST_ROWS or len({*table.column_names}) != table.num_columns:
            raise ValueError
        steps: list[int] = table.column(0).to_pylist()
        cells: list[list[float | None]] = [table.column(i).to_pylist() for i in range(1, table.num_columns)]
        if any(type(step) is not int for step in steps):
            raise ValueError
        _append(history, columns, steps, cells)
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, AttributeError, MemoryError):
        raise RunFileError(f"{where}: is no table of a run.") from None


def _append(history: History, columns: list[Column], steps: list[int], cells: list[list[float | None]]) -> None:
    """As `History.add` row by row, but the columns are known beforehand."""
    known = {column.name for column in history.columns}
    fresh = [column for column in columns if column.name not in known]
    if fresh:
        order = History()
        order.add(0, [(column, 0.0) for column in [*history.columns, *fresh]])
        history.columns = order.columns
    names = [column.name for column in columns]
    history.steps += steps
    if not cells:
        history.rows += [{} for _ in steps]
        return
    for row in zip(*cells, strict=True):
        history.rows.append({name: cell for name, cell in zip(names, row, strict=True) if cell is not None})


def _column(field: Any) -> Column:
    meta = {key.decode(): text.decode() for key, text in field.metadata.items()}
    return Column(field.name, meta["kind"], meta["format"], meta["address"])
