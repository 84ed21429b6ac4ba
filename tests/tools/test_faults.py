"""A slice of the cases of `make faults`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detector.schema import parse_yaml
from tools.faults import FAMILIES, cluster, streams
from tools.faults.command import END, MARK, by_stage, commit, table
from tools.faults.damage import cell, cut, flip, places, put, put_yaml
from tools.faults.warm import Request, Result, Warm

ROOT = Path(__file__).resolve().parents[2]
# of these the tests have their own part: tests/detector/test_cluster.py, tests/mozcodec/test_fuzz.py
ELSEWHERE = ("cluster faults", "streams through the codec under sanitizers")
# those of one stage; the others run every stage first
OF_ONE_STAGE = ("kills of compress", "damaged inputs", "limits of the system", "threads and forks")


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of the system are those of Linux")
@pytest.mark.parametrize(
    "families",
    [
        pytest.param(OF_ONE_STAGE, id="one stage"),
        pytest.param(
            tuple(one for one in FAMILIES if one not in ELSEWHERE), id="all stages", marks=pytest.mark.slow(minutes=1)
        ),
    ],
)
def test_a_slice_of_the_cases_holds_and_is_not_run_twice(tmp_path: Path, families: tuple[str, ...]) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{MARK}\nold\n{END}\nafter\n")
    start = [sys.executable, "-m", "tools", "faults", str(tmp_path / "out"), "--most", "2", "--seed", "5"]
    start += ["--document", str(document)]
    command = [*start, *(argument for name in families for argument in ("--family", name))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kept = tmp_path / f"out/results-5-{commit()}.json"  # those of another commit would get the name of this one
    results = json.loads(kept.read_text())
    assert {name: len(cases) for name, cases in results.items()} == dict.fromkeys(families, 2)
    assert {wrong for cases in results.values() for wrong in cases.values()} == {""}
    assert document.read_text() == f"before\n{MARK}\n{table(results, 5, commit())}{END}\nafter\n"
    results["damaged inputs"]["bit 0 of index.csv"] = "was not run again"
    kept.write_text(json.dumps(results))
    command = [*start, "--family", "damaged inputs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "was not run again" in done.stdout


def test_the_table_counts_what_held() -> None:
    results = {"damaged inputs": {"a": "", "b": "wrong", "c": ""}}
    lines = table(results, 7, "abc1234").splitlines()
    assert lines[2].endswith("| 3 | 2 | 7 | abc1234 |")
    assert "Cases that did not hold: 1." in lines and "- damaged inputs, 'b': 'wrong'" in lines


def test_a_million_streams_are_cases_of_ten_thousand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = list(streams.streams(1, tmp_path))
    assert len(found) * FAMILIES[ELSEWHERE[1]].tries == 1_000_000
    text = table({ELSEWHERE[1]: {found[0].name: "", found[1].name: "ended with 1"}}, 1)
    assert "| 20,000 | 10,000 | 1 |" in text
    # a program that reports what it is given
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho \"$@\" >&2; test $1 = header\n")
    program.chmod(0o755)
    monkeypatch.setattr(streams, "program", lambda: (program, {name: [Path("s")] for name in streams.fuzzer().TARGETS}))
    assert found[0].name == "header: streams 0 to 9999" and found[0].run(tmp_path) == ""
    assert found[6].run(tmp_path) == "ended with 1: decode 10000 10000 s\n"


def test_a_disturbed_stage_may_fail_only_without_its_scheduler_and_names_it() -> None:
    killed, address = "the scheduler is killed", "dask://127.0.0.1:1"
    lost = Result(1, f"Error: {address}: the connection is lost", 1.0, 1.0)
    assert cluster.wrong(lost, killed, address) == ""
    assert cluster.wrong(lost, "a worker is killed", address).startswith("ended with 1: Error")
    assert cluster.wrong(Result(1, "Error: it is lost", 1.0, 1.0), killed, address).startswith("ended with 1")
    assert cluster.wrong(Result(0, "", 1.0, 1.0), "a worker is killed", address) == ""
    assert cluster.wrong(Result(-signal.SIGALRM, "", 1.0, 1.0), killed, address) == "hangs"


def test_rows_of_families_that_were_not_run_are_kept_with_their_commit() -> None:
    before = table({"bombs": {"a": ""}, "damaged inputs": {"a": ""}}, 1, "0000000")
    after = table({"damaged inputs": {"a": "", "b": ""}}, 2, "1111111", before).splitlines()
    assert [line.split(" | ")[2:] for line in after[2:4]] == [
        ["2", "2", "2", "1111111 |"],
        ["1", "1", "1", "0000000 |"],
    ]


def test_cases_are_counted_by_stage() -> None:
    text = by_stage(
        {"kills of every stage": {"train: SIGINT 0, 1 times": "", "train: SIGINT 1, 1 times": "other bytes"}}
    )
    assert "| train | 1 of 2 |" in text and "| faces | 0 of 0 |" in text


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of the system are those of Linux")
def test_a_trial_is_a_fork_that_ends_with_its_status_its_words_and_under_its_limit(tmp_path: Path) -> None:
    with Warm() as warm:
        refused = warm.run(Request(["detector", "faces", "nothing", "out"], str(tmp_path)))
        assert refused.code == 1 and "Error: nothing: no such folder" in refused.text
        limited = warm.run(Request(["detector", "faces", "nothing", "out"], str(tmp_path), limits={"memory": 1 << 20}))
        assert limited.code not in (0, 99) and limited.peak < 2000
        killed = warm.run(Request(["detector", "--help"], str(tmp_path), number=signal.SIGKILL))
        assert killed.code == -signal.SIGKILL


def test_what_trials_write_does_not_depend_on_the_work_tree() -> None:
    """Cards of trained models name the commit and whether files differ from it."""
    code = "from tools.faults.warm import load; load(); from detector.provenance import source; print(source())"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "Source(commit=None, modified=None, reason='the package does not lie in a git work tree')\n"


def test_damage_is_where_it_was_asked_for() -> None:
    assert flip(0.5, 4, b"abcd") == b"abgd"
    assert cut(0.5, b"abcd") == b"ab"
    content = {"a": [1, {"b": 2}]}
    assert list(places(content)) == [("a",), ("a", 0), ("a", 1), ("a", 1, "b")]
    assert json.loads(put(("a", 1, "b"), None, json.dumps(content).encode())) == {"a": [1, {"b": None}]}
    assert cell(0, 1, "x", b"k,v\n1,2\n3,4\n") == b"k,v\n1,x\n3,4\n"
    assert parse_yaml(put_yaml(1, -1, b"a: 1\nb: 2\n").decode(), "params.yaml") == {"a": 1, "b": -1}


def test_the_cases_and_columns_of_families_without_results_are_kept() -> None:
    kills = {"kills of every stage": {"faces: SIGINT 0": "", "predict: SIGTERM 1": "left behind: it's a lock"}}
    before = table(kills, 1, "0000000")
    limits = {"limits of the system for every stage": {"predict: umask 077": ""}}
    after = table(limits, 1, "1111111", before)
    assert "Cases that did not hold: 1; " not in after
    assert "- kills of every stage, 'predict: SIGTERM 1'" in after
    assert "| stage | kills of every stage | limits of the system for every stage |" in after
    assert "| faces | 1 of 1 | 0 of 0 |" in after
    assert "| predict | 0 of 1 | 1 of 1 |" in after
    again = table({"kills of every stage": {"faces: SIGINT 0": ""}}, 1, "2222222", after)
    assert "Cases that did not hold: none." in again
