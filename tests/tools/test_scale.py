"""The simulator of executors, by cases worked by hand and against processes; the copies of the sample."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tools.scale.check import Row, table
from tools.scale.simulate import Job, Platform, drawn, simulate
from tools.scale.tree import copied_tree
from tools.scale.validate import validated

ROOT = Path(__file__).resolve().parents[2]


def test_workers_take_the_next_task_when_they_are_free() -> None:
    # two workers: 3 s and 1 s, then 1 s, then 4 s, which begins at 2
    found = simulate([Job(3), Job(1), Job(1), Job(4)], Platform("two", 2, 0.0))
    assert found.seconds == 6
    assert found.workers == pytest.approx(9 / 12)
    assert found.limit == "workers"


def test_a_slow_scheduler_limits_short_tasks() -> None:
    # tasks of 1 s handed out every 2 s: the third is handed out at 6 and ends at 7
    found = simulate([Job(1)] * 3, Platform("slow", 8, 2.0))
    assert found.seconds == 7
    assert (found.scheduler, found.limit) == (pytest.approx(6 / 7), "scheduler")


def test_shared_storage_serves_one_request_after_the_other() -> None:
    # reading takes 2 s each, from 0, 2 and 4; the third computes until 7 and writes for half a second
    found = simulate([Job(1, 20, 5)] * 3, Platform("disk", 3, 0.0, 10.0))
    # in between: the first writes from 3 in the queue behind the third's reading, which was asked for at 0
    assert found.seconds == 7.5
    assert found.storage == pytest.approx(7.5 / 7.5)
    assert found.limit == "storage"


def test_nothing_takes_no_time_and_draws_repeat() -> None:
    assert simulate([], Platform("none", 4, 1.0)).seconds == 0
    times = drawn(4000, 2.0, 0.5)
    assert times == drawn(4000, 2.0, 0.5) != drawn(4000, 2.0, 0.5, seed=1)
    mean = sum(times) / len(times)
    assert mean == pytest.approx(2, rel=0.03)
    assert math.sqrt(sum((t - mean) ** 2 for t in times) / len(times)) == pytest.approx(1, rel=0.1)


def test_copies_of_the_sample_are_data_with_other_names_and_bytes(tmp_path: Path) -> None:
    from detector.config import FacesConfig
    from detector.data.faces import clip_task
    from detector.data.layout import find_clips

    assert copied_tree(ROOT / "data", tmp_path / "two", 1, 2) == 24  # 3 pairs: 2 real and 2 fake videos, twice
    clips = find_clips(tmp_path / "two", "c23", ("Deepfakes",)).clips
    assert len(clips) == 24 and all(clip.mask for clip in clips if clip.label)
    assert len({clip_task(clip, FacesConfig(), "").key for clip in clips}) == 24
    assert len({(clip.identity, clip.split) for clip in clips if not clip.label}) == 12


def test_the_table_compares_the_sums() -> None:
    rows = [Row(1, "faces", 12, 10), Row(1, "score", 2, 10), Row(4, "faces", 30, 40), Row(4, "score", 30, 40)]
    assert table(rows).splitlines()[2:] == [
        "| faces | 12.0 s | 10.0 s | +20 % | 30.0 s | 40.0 s | -25 % |",
        "| score | 2.0 s | 10.0 s | -80 % | 30.0 s | 40.0 s | -25 % |",
        "| **all** | 14.0 s | 20.0 s | -30 % | 60.0 s | 80.0 s | -25 % |",
    ]


@pytest.mark.trial(minutes=4)
def test_the_simulator_agrees_with_processes_and_dask(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="pip install 'detector[cluster]'")
    rows, _ = validated(tmp_path, 60, (1, 4))
    assert len(rows) == 4
    # the tasks sleep, so the machine's load adds little; its own delays are one-sided
    assert all(-0.25 < row.error < 0.1 for row in rows), rows


@pytest.mark.trial(minutes=15)
def test_the_predicted_cpu_time_is_that_of_a_run_at_1_4_and_16_times_the_data(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "tools", "scale", "check", "--json", str(tmp_path / "rows.json")]
    subprocess.run(command, cwd=ROOT, check=True)
    rows = [Row(**row) for row in json.loads((tmp_path / "rows.json").read_text())]
    for copies in (1, 4, 16):
        here = [row for row in rows if row.copies == copies]
        error = sum(row.predicted for row in here) / sum(row.measured for row in here) - 1
        assert len(here) == 9 and abs(error) < 0.25, (copies, error, here)
