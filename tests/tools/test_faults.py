"""A slice of the cases of `make faults`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.faults import FAMILIES
from tools.faults.command import END, MARK, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of the system are those of Linux")
def test_a_slice_of_the_cases_holds_and_is_not_run_twice(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{MARK}\nold\n{END}\nafter\n")
    command = [sys.executable, "-m", "tools", "faults", str(tmp_path / "out"), "--most", "3", "--seed", "5"]
    command += ["--document", str(document)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    results = json.loads((tmp_path / "out/results-5.json").read_text())
    assert {name: len(cases) for name, cases in results.items()} == dict.fromkeys(FAMILIES, 3)
    assert {wrong for cases in results.values() for wrong in cases.values()} == {""}
    assert document.read_text() == f"before\n{MARK}\n{table(results, 5)}{END}\nafter\n"
    results["damaged inputs"]["bit 0 of index.csv"] = "was not run again"
    (tmp_path / "out/results-5.json").write_text(json.dumps(results))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "was not run again" in done.stdout


def test_the_table_counts_what_held() -> None:
    results = {"damaged inputs": {"a": "", "b": "wrong", "c": ""}}
    lines = table(results, 7).splitlines()
    assert lines[2].endswith("| 3 | 2 | 7 |")
    assert "Cases that did not hold: 1." in lines and "- damaged inputs, 'b': 'wrong'" in lines
