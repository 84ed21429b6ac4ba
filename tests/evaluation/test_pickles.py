"""Hostile pickles: nothing in them is run, and nothing but data is returned."""

import contextlib
import os
import pickle
import re
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.pickles import PickleError, load


class Calls:
    """Pickles as a call of *function*."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_data_come_back_as_they_were(protocol):
    value = {
        "pred": np.linspace(0, 1, 7, dtype=np.float32), "label": np.arange(6).reshape(2, 3).T,
        "big": np.arange(3, dtype=">i4"),
        "one": np.float64(0.25), "list": [1, 2.5, "é", None, True, b"x"], "text": np.array(["a", "bc"]), 3: (1, (2,)),
    }  # fmt: skip
    found = load(pickle.dumps(value, protocol))
    assert list(found) == list(value)
    for name in ("pred", "label", "big", "text"):
        assert np.array_equal(found[name], value[name])
    assert (found["one"], found["list"], found[3]) == (0.25, value["list"], (1, (2,)))


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, "touch hacked"), Calls(eval, "open('hacked', 'w')"), Calls(exec, "raise SystemExit"),
        Calls(subprocess.Popen, ["touch", "hacked"]), Calls(getattr, "", "join"), Calls(Path, "hacked"),
        Calls(np.load, "hacked"), Calls(np.fromfile, "hacked"), Calls(open, "hacked", "w"), OrderedDict(a=1),
        np.array([Calls(os.system, "touch hacked")]), Path("x"), {1, 2}, np.array([{}], dtype=object), object(), int,
        print, sys.exit, np.ma.array([1]), np.array([("a", 1)], dtype=[("x", "U1"), ("y", "i4")]),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)),  # the same in every process
)  # fmt: skip
def test_anything_but_data_is_refused_and_never_run(value, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PickleError):
        load(pickle.dumps({"pred": value, "label": [0]}, protocol))
    assert list(tmp_path.iterdir()) == []


def deep_key(depth):
    """A dictionary whose key is a tuple in a tuple ...: hashing it would exhaust the stack of the process."""
    return b"\x80\x04}" + b")" + b"\x85" * depth + b"K\x01s."


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80", b"\x80\x04.", b"\x80\x09}.", b"\x80\x04]." , b"cos\nsystem\n(S'touch hacked'\ntR.",
        deep_key(2_000_000), b"\x80\x04}" + b"(" * 100_000 + b".", b"\x80\x04" + b"]" * 1_000_000 + b".",
        b"\x80\x04}r" + struct.pack("<I", 2**32 - 1) + b".",                     # an entry far beyond the memo
        b"\x80\x04B" + struct.pack("<I", 2**31 - 1) + b".", b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x04\x8b" + struct.pack("<I", 2**31 - 1) + b".", b"\x80\x04}(K\x01u.", b"\x80\x04a.", b"\x80\x04R.",
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93)}b.", b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93)R.",
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93(J\xff\xff\xff\x7f\x85tR.",   # numpy.ndarray((2147483647,))
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93\x8c\x0b__defaults__)\x86b.", b"\x80\x04\x97.", b"\x80\x04Pid\n.",
        b"\x80\x04\x82\x01.",
    ],
    ids=lambda data: repr(data[:16]),
)  # fmt: skip
def test_a_damaged_or_crafted_pickle_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        found = load(data)
    except PickleError:
        found = {}
    assert not any(callable(value) for value in found.values())
    assert list(tmp_path.iterdir()) == []


def array(shape=(2,), code="f8", order="<", data=b"\0" * 16, by_column=False):
    """A pickle of an array as NumPy writes it, with any contents."""
    writer = [b"\x80\x04}\x8c\x04pred\x8c\x16numpy._core.multiarray\x8c\x0c_reconstruct\x93"]
    writer += [b"\x8c\x05numpy\x8c\x07ndarray\x93K\x00\x85C\x01b\x87R(K\x01"]
    writer += [pickle.dumps(shape, 2)[2:-1], b"\x8c\x05numpy\x8c\x05dtype\x93", b"\x8c" + bytes([len(code)]),
               code.encode(), b"\x89\x88\x87R(K\x03"]  # fmt: skip
    writer += [b"\x8c" + bytes([len(order)]) + order.encode(), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"]
    writer += [b"\x88" if by_column else b"\x89", b"B" + struct.pack("<I", len(data)) + data, b"tbs."]
    return b"".join(writer)


def test_an_array_has_the_bytes_that_its_shape_says():
    assert load(array())["pred"].tolist() == [0.0, 0.0]
    for wrong in (
        {"shape": (3,)}, {"shape": (2**40,)}, {"shape": (-2,)}, {"shape": (2**31, 2**31)}, {"code": "O8"},
        {"code": "f99"},
        {"code": "V8"}, {"code": "(9)f8"}, {"data": b""}, {"code": "i4,i4"}, {"code": "M8"}, {"code": "S0"},
    ):  # fmt: skip
        with pytest.raises(PickleError):
            load(array(**wrong))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 200))
def test_a_changed_byte_never_raises_anything_else(place, value, cut):
    data = bytearray(pickle.dumps({"pred": np.arange(5.0), "label": np.arange(5), "auc": np.float64(1)}, 2 + place % 4))
    data[place % len(data)] = value
    with contextlib.suppress(PickleError):
        load(bytes(data[: len(data) - cut % len(data)]))
