"""Columns of text stored as codes: the distinct values once, in order, and the place of each row's value among them.

A table of ten million rows has few methods, conditions and videos. Comparing, grouping and selecting rows then works on
integers; `Text` stands in for the array of strings wherever one is expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Text", "first_rows"]

Codes = NDArray[np.int32]


class Text:
    """A column of N strings: row i holds ``names[codes[i]]``. `names` are sorted, distinct, and may be unused."""

    __slots__ = ("codes", "names")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, names: NDArray[np.str_], codes: Codes) -> None:
        self.names, self.codes = names, codes

    @classmethod
    def of(cls, values: ArrayLike) -> Text:
        """Return the column with these strings."""
        if isinstance(values, Text):
            return values
        names, codes = np.unique(np.asarray(values, dtype=np.str_), return_inverse=True)
        return cls(names, codes.astype(np.int32))

    @classmethod
    def constant(cls, value: str, rows: int) -> Text:
        """Return the column that holds *value* in every row."""
        return cls(np.array([value], dtype=np.str_), np.zeros(rows, dtype=np.int32))

    @classmethod
    def joined(cls, first: Text, second: Text, sign: str) -> Text:
        """Return the strings of both columns with *sign* between them."""
        pairs = first.codes.astype(np.int64) * len(second.names) + second.codes
        unique, codes = np.unique(pairs, return_inverse=True)
        width = max(len(second.names), 1)
        heads, tails = first.names[unique // width], second.names[unique % width]
        return cls(*_sorted(np.char.add(np.char.add(heads, sign), tails), codes.astype(np.int32)))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Any:
        """Return one string, or the `Text` of a mask, a slice or an array of positions."""
        codes = self.codes[rows]
        return self.names[codes] if np.ndim(codes) == 0 else Text(self.names, codes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        return f"Text({len(self)} rows, {len(self.names)} names)"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = self.names[self.codes]
        return found if dtype is None else found.astype(dtype)

    def tolist(self) -> list[str]:
        """Return the rows as strings."""
        return [str(name) for name in self.names[self.codes].tolist()]

    def __eq__(self, other: object) -> Any:
        if isinstance(other, str):
            return self.codes == self._code(other)
        if isinstance(other, Text):
            if other.names is self.names:
                return self.codes == other.codes
            return self.codes == other.codes_among(self.names)
        return np.asarray(self) == other

    def __ne__(self, other: object) -> Any:
        return np.logical_not(self == other)

    def _code(self, name: str) -> int:
        """Return the code of *name*, -1 where no row holds it."""
        place = int(np.searchsorted(self.names, name)) if len(self.names) else 0
        return place if place < len(self.names) and self.names[place] == name else -1

    def codes_among(self, names: NDArray[np.str_]) -> Codes:
        """Return the place of each row's string among the sorted *names*, -1 where they lack it."""
        if names is self.names:
            return self.codes
        place = np.searchsorted(names, self.names) if len(names) else np.zeros(len(self.names), dtype=np.intp)
        known = names[np.minimum(place, len(names) - 1)] == self.names if len(names) else np.zeros(len(place), bool)
        found: Codes = np.where(known, place, -1).astype(np.int32)[self.codes]
        return found

    def present(self) -> NDArray[np.str_]:
        """Return the distinct strings of the rows, sorted."""
        return self.names[np.flatnonzero(self.numbers())]

    def numbers(self) -> NDArray[np.intp]:
        """Return the number of rows of each of `names`."""
        return np.bincount(self.codes, minlength=len(self.names))

    def num(self) -> int:
        """Return the number of distinct strings."""
        return int(np.count_nonzero(self.numbers()))

    def packed(self) -> Text:
        """Return the same rows with unused names removed."""
        used = self.numbers() > 0
        if used.all():
            return self
        return Text(self.names[used], (np.cumsum(used) - 1).astype(np.int32)[self.codes])


def _sorted(names: NDArray[np.str_], codes: Codes) -> tuple[NDArray[np.str_], Codes]:
    """Return sorted distinct names and the codes that fit them."""
    unique, place = np.unique(names, return_inverse=True)
    return unique, place.astype(np.int32)[codes]


def first_rows(codes: NDArray[Any], number: int) -> NDArray[np.intp]:
    """Return the first row of each code in 0..number-1; the number of rows for a code that does not occur."""
    first = np.full(number, len(codes), dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first
