"""Tables of dataclasses in their columnar form, the folder ``index.parquet`` beside ``index.csv``.

The same rows and the same checks as of the CSV file (`detector.schema`), in less disk space. A value that many rows
share is checked once for each batch, and is one object in memory.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from evaluation import columnar
from evaluation.sums import Changed

from ..errors import DataError
from ..schema import Mismatch, cell, columns_of, within
from .files import sha256

__all__ = ["iterate_columns", "write_columns"]

Row = TypeVar("Row")

OWN = ("key", "crc32")  # texts that differ in every row


def write_columns(csv: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write *rows*, dataclasses *kind*, as the columnar form of the file *csv*, which has been written."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    columns = {name: _kind(name, hint) for name, (hint, _) in columns_of(kind).items()}
    columnar.write(csv, columns, ([getattr(row, name) for name in names] for row in rows), sha256(csv))


def _kind(name: str, hint: Any) -> str:
    hint = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    kinds = [one for one in typing.get_args(hint) or (hint,) if one is not type(None)]
    return {int: "int", float: "float"}.get(kinds[0], "name" if name in OWN else "text")


def iterate_columns(csv: Path, kind: type[Row]) -> Iterator[tuple[int, Row]]:
    """Yield the rows of the columnar form of the file *csv*, each with its number from 1, as dataclasses *kind*.

    DataError as of `detector.schema.read_csv`, and if it is of other rows than the file *csv*.
    """
    folder, expected = columnar.columnar(csv), columns_of(kind)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    number = 1
    try:
        recorded = columnar.of_csv(folder)
        if csv.is_file() and recorded != sha256(csv):
            raise DataError(
                f"{folder}: is not the columnar form of {csv}, which was changed; delete the folder to read the file"
            )
        given = columnar.schema(folder).names
        names = [f.name for f in fields if f.default is dataclasses.MISSING or f.name in given]
        if given != names:
            raise DataError(f"{folder}: expected the columns {', '.join(names)}; got {', '.join(given)[:200]}")
        for batch in columnar.iterate(folder):
            with within(folder, columnar.REMEDY):
                values = [_values(batch.column(name), *expected[name], name, number) for name in names]
            for row in zip(*values, strict=True):
                yield number, kind(**dict(zip(names, row, strict=True)))
                number += 1
    except Changed as error:
        raise DataError(str(error)) from None


def _values(column: Any, hint: Any, checks: Any, name: str, first: int) -> list[Any]:
    """Return the values of a *column* of rows from number *first* on; Mismatch for one of a wrong type or range."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def of_row(value: str, row: int) -> Any:
        return cell(value, hint, checks, f"row {first + row}: {name}")

    if column.null_count:  # an empty cell
        row = pc.index(pc.is_null(column), value=True).as_py()
        if of_row("", row) is not None:
            raise Mismatch(f"row {first + row}: {name} must not be empty")
    if pa.types.is_dictionary(column.type):
        known = column.dictionary.to_pylist()
        codes = column.indices.to_pylist()
        rows = {code: row for row, code in zip(range(len(codes) - 1, -1, -1), reversed(codes), strict=True)}
        found = [of_row(value, rows[code]) if code in rows else None for code, value in enumerate(known)]
        return [None if code is None else found[code] for code in codes]
    if pa.types.is_string(column.type):
        return [None if value is None else of_row(value, row) for row, value in enumerate(column.to_pylist())]
    if not (pa.types.is_int64(column.type) or pa.types.is_float64(column.type)):
        raise Mismatch(f"{name} must be text or numbers, got {column.type}")
    for extreme in pc.min_max(column).values():
        if extreme.is_valid:
            of_row(repr(extreme.as_py()), pc.index(column, extreme).as_py())
    if pa.types.is_float64(column.type) and pc.any(pc.is_nan(column)).as_py():
        raise Mismatch(f"{name} must be a number, got nan")
    values: list[Any] = column.to_pylist()
    return values
