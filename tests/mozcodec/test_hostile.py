"""Small files that describe much work end within their bound; the script reports what does not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.fixture(scope="module")
def hostile():
    return load(PACKAGE / "fuzz" / "hostile.py")


@pytest.mark.parametrize(
    "kind",
    ["empty segments", "comments", "MP index", "scans without end", "large image of many scans",
     "large images in a row", "huge thumbnails"],
)  # fmt: skip
def test_hostile_files_end_within_their_bound(hostile, kind):
    """CPU time of a process of its own; four times the bound, for a machine under load."""
    report = io.StringIO()
    assert hostile.run([kind], 100_000, 4.0, report) == 0, report.getvalue()


def test_every_kind_is_about_as_large_as_asked(hostile):
    for kind, make in hostile.KINDS.items():
        if kind not in ("large image of many scans", "restart intervals of one MCU", "seven large images in a row"):
            assert 100_000 <= len(make(150_000)) <= 250_000, kind


def test_what_takes_longer_is_reported(hostile, monkeypatch):
    monkeypatch.setitem(hostile.KINDS, "plain", lambda _: hostile.image())
    row = {"kind": "plain", "verb": "inspect", "bytes": 1, "bound": 0.5, "raised": "", "ok": True}
    for seconds, raised_well, failures in ((0.4, True, 0), (0.6, True, 1), (0.1, False, 1)):
        found = [row | {"seconds": seconds, "ok": raised_well}]
        monkeypatch.setattr(hostile, "in_a_process", lambda *_, found=found: found)
        report = io.StringIO()
        assert hostile.run(["plain"], 1000, 1.0, report) == failures
        assert ("FAILED inspect" in report.getvalue()) == (failures > 0)


def test_a_verb_that_raises_something_else_is_not_refused(hostile, monkeypatch):
    calls = iter((None, IndexError("out of range")))

    def once(_):
        error = next(calls)
        if error:
            raise error

    monkeypatch.setattr(hostile, "VERBS", {"inspect": once})
    [row] = hostile.measure("comments", 1000)
    assert not row["ok"]
    assert row["raised"].startswith("IndexError")
