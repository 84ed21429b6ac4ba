"""Reading of pickles that hold data only: numbers, text, lists, dictionaries and NumPy arrays of numbers.

A pickle is a program. This reader runs none of it: names of classes and functions stay names, calls are replaced by
constructors of our own for the few that NumPy needs, and every instruction that could make, call or change anything
else is an error. Arrays are built with `numpy.frombuffer`, so damaged ones cannot read memory outside the file.
"""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

from .values import shown

__all__ = ["PickleError", "load"]

MOST_BYTES = 1 << 31
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric", "numpy")
ALLOWED = {
    *((module, name) for module in NUMPY for name in ("_reconstruct", "scalar", "_frombuffer", "ndarray", "dtype")),
    ("_codecs", "encode"),
}
KINDS = "biufSU"                       # of NumPy's types: numbers, bytes, text


class PickleError(ValueError):
    """A pickle that holds more than data, or that is damaged."""


@dataclass(frozen=True, slots=True)
class _Name:
    module: str
    name: str


class _Dtype:
    """The type of an array, as a pickle describes it."""

    def __init__(self, code: Any) -> None:
        self.code, self.order = code, "="

    def setstate(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and isinstance(state[1], str):
            self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self.code, str) or len(self.code) > 12:
            raise PickleError("an array of a type that is not numbers")
        try:
            found = np.dtype(self.code)
        except (TypeError, ValueError, SyntaxError):
            raise PickleError(f"an array of the type {shown(self.code)}, which is not numbers") from None
        if found.kind not in KINDS or found.itemsize > 1 << 16 or found.subdtype:
            raise PickleError(f"an array of the type {shown(self.code)}, which is not numbers")
        if self.order == ">":
            return found.newbyteorder(">")
        return found.newbyteorder("<") if self.order == "<" else found


class _Array:
    """An array whose contents follow."""

    def __init__(self) -> None:
        self.value: Any = None

    def setstate(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise PickleError("a damaged array")
        _, shape, dtype, by_column, data = state
        self.value = _array(data, dtype, shape, "F" if by_column else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise PickleError("an array of Python objects")
    kind = dtype.dtype()
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 2**40 for n in shape) or len(shape) > 8:
        raise PickleError("a damaged array")
    if kind.itemsize == 0 or math.prod(shape) * kind.itemsize != len(data) or order not in ("C", "F"):
        raise PickleError("a damaged array")
    return np.frombuffer(bytes(data), kind).reshape(shape, order=order)


def _call(function: Any, args: Any) -> Any:
    if not isinstance(function, _Name) or not isinstance(args, tuple):
        raise PickleError("it calls something other than a NumPy function")
    match function.name, args:
        case "_reconstruct", _:
            return _Array()
        case "dtype", (code, *_):
            return _Dtype(code)
        case "scalar", (_Dtype() as dtype, bytes() as data):
            return _array(data, dtype, (1,), "C")[0]
        case "_frombuffer", (data, dtype, shape, order):
            return _array(data, dtype, shape, order)
        case "encode", (str() as text, "latin1" | "latin-1"):
            return text.encode("latin-1")
    raise PickleError(f"it calls {function.module}.{function.name} in a way that NumPy does not")


PurePython: Any = pickle._Unpickler    # the one in C cannot be restricted instruction by instruction


class _Reader(PurePython):             # type: ignore[misc]
    dispatch = {  # noqa: RUF012
        code: function
        for code, function in PurePython.dispatch.items()
        if bytes([code]) not in {
            pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
            pickle.PERSID, pickle.BINPERSID, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.NEXT_BUFFER,
            pickle.READONLY_BUFFER,
        }
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> _Name:
        if (module, name) not in ALLOWED:
            raise PickleError(f"it refers to {module[:60]}.{name[:60]}, which is neither a number nor an array")
        return _Name(module, name)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], args)

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Array | _Dtype):
            raise PickleError("it changes an object that is not an array")
        self.stack[-1].setstate(state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def _set(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict or len(items) % 2:
            raise PickleError("a damaged dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # deeply nested keys would exhaust the stack of the process when they are hashed
            if not isinstance(key, str | bytes | int | float | np.generic):
                raise PickleError("a dictionary with keys that are neither text nor numbers")
            self.stack[-1][key] = value

    def load_append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise PickleError("a damaged list")
        self.stack[-1].extend(values)

    dispatch |= {
        pickle.REDUCE[0]: load_reduce, pickle.BUILD[0]: load_build, pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems, pickle.DICT[0]: load_dict, pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
    }  # fmt: skip


def load(data: bytes) -> dict[Any, Any]:
    """Return the dictionary of a pickle, with its values as Python data and NumPy arrays one level deep.

    PickleError for anything but data: classes, calls, arrays of objects, damaged files.
    """
    if len(data) > MOST_BYTES:
        raise PickleError(f"larger than {MOST_BYTES} bytes")
    try:
        found = _Reader(io.BytesIO(data)).load()
    except PickleError:
        raise
    except MemoryError:
        raise PickleError("it needs more memory than is available") from None
    except Exception:  # unpickling raises many exception types for damaged files
        raise PickleError("damaged") from None
    if type(found) is not dict:
        raise PickleError("not a dictionary")
    return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value
    if type(value) is list:
        return [part.value if isinstance(part, _Array) else part for part in value]
    return value
