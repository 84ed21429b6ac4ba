"""The arithmetic of `detector plan`, by rows worked by hand, and the command on a small calibration."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from detector.cli import cli
from detector.data.work import Task, grouped, key_of
from detector.planning.cost import (
    BYTES,
    STAGES,
    Calibration,
    Prices,
    Rate,
    Settings,
    StageRates,
    Videos,
    counts,
    fit,
    plan,
    ratio,
    tasks,
    wall_seconds,
)

SETTINGS = Settings("meso4", 16, 8, 128, 9, 8, 1000, 32, 128, 2)
# 100 real and 400 fake videos of 50 frames and half a megapixel, masks for all fakes, 80 % train, 10 % val
VIDEOS = Videos(100, 400, 50, 0.5, 1e9, 1.0, 0.8, 0.1)
NONE = StageRates(0.0, {}, {}, 0)


def rate(seconds: float) -> Rate:
    return Rate(seconds, 0.0, 1)


def calibration(**stages: StageRates) -> Calibration:
    known = {name: stages.get(name, NONE) for name in STAGES}
    sizes = {"crop": 1000.0, "mask": 100.0, "compressed": 200.0, "score": 50.0, "fidelity": 40.0}
    return Calibration({"processor": "test"}, VIDEOS, SETTINGS, 1.0, 0.01, sizes, known)


def test_a_line_is_fitted_and_its_coefficients_are_not_negative() -> None:
    a, b = fit([1, 2, 4], [3, 5, 9])
    assert (a.seconds, b.seconds) == (pytest.approx(1), pytest.approx(2))
    assert b.spread == pytest.approx(0) and b.n == 3
    # the least squares line of (1, 1), (2, 4) has a = -2: then a = 0 and b = 5 / 3
    a, b = fit([1, 2], [1, 4])
    assert (a.seconds, b.seconds) == (0, pytest.approx(5 / 3))
    a, b = fit([3, 3], [3, 6])
    assert (a.seconds, b.seconds) == (0, 1.5)


def test_a_rate_weighs_measurements_by_their_work_and_has_their_spread() -> None:
    found = ratio([1, 3], [2, 3])  # 5 seconds for 4; single rates 2 and 1, standard deviation .5
    assert found == Rate(1.25, 0.4, 2)
    assert found.error == pytest.approx(1.25 * 0.4 / math.sqrt(2))


def test_tasks_and_units_are_those_of_the_stages() -> None:
    # crops: 100 x 16 + 400 x 8 = 4800; train 3840, val 480, test 480
    assert tasks(VIDEOS, SETTINGS, 4800) == {
        "faces": 500,
        "audit": 32 + 10,  # 500 / 16 files, 4800 / 512 crops
        "compress": 34,  # 4320 / 128
        "fidelity": 150,  # 4800 / 32
        "score": 2,  # 960 / 512
        "explain": 102,  # for 9 conditions 7 batches of 200 masked crops and one of examples, for 2 all 480 in 15
    }
    units = counts(VIDEOS, SETTINGS, 1.0)
    # 500 videos and 400 masks of 50 frames of half a megapixel; 4800 frames are examined
    assert units["faces"] == {
        "tasks": 500, "decoded megapixels": 22_500, "examined megapixels": 2400, "crops": 4800, "megabytes": 1000
    }  # fmt: skip
    assert units["audit"]["pairs"] == 3840 * 480 + 3840 * 480 + 480 * 480
    assert units["fidelity"]["crop-conditions"] == 4800 * 8
    assert units["train"] == {"images": 32_000, "crop-conditions": 480 * 9}
    assert units["score"]["crop-conditions"] == 960 * 9
    assert units["explain"]["crop-conditions"] == 200 * 9 + 480 * 2


def test_pairs_of_many_crops_are_tasks() -> None:
    # 160,000 crops: train 128,000, val 16,000, test 16,000; in parts of 65,536 a side 2 x 1, 2 x 1 and 1
    many = dataclasses.replace(VIDEOS, real=10_000, fake=0)
    assert tasks(many, SETTINGS, 160_000)["audit"] == 625 + 313 + 5
    assert counts(many, SETTINGS, 1.0)["audit"]["pairs"] == 128_000 * 32_000 + 16_000**2


def test_a_share_of_frames_without_a_face_makes_fewer_crops_of_as_many_frames() -> None:
    units = counts(VIDEOS, SETTINGS, 0.5)["faces"]
    assert units["crops"] == 2400
    assert units["examined megapixels"] == 2400


def test_a_picture_is_one_crop() -> None:
    units = counts(Videos(10, 10, 1, 0.25, 1e6, pictures=True), SETTINGS, 1.0)["faces"]
    assert units == {"tasks": 20, "picture megapixels": 5, "crops": 20, "megabytes": 1}


@pytest.mark.parametrize(("number", "size"), [(10, 1e5), (100, 1e5), (1000, 1e5), (20_000, 1e5), (20_000, 1e7)])
def test_pictures_are_tasks_in_groups_as_faces_makes_them(number: int, size: float) -> None:
    some = [Task(key_of(str(n)), "", bytes, b"") for n in range(number)]
    videos = Videos(number, 0, 1, 0.25, number * size, pictures=True)
    made = len(grouped(some, [int(size)] * number))
    # the keys say where groups end; the standard deviation of their number is below its square root
    near = 4 * math.sqrt(made) if made < number else 0
    assert tasks(videos, SETTINGS, number)["faces"] == pytest.approx(made, abs=near)
    assert (made < number) == (number > 127)


def test_cpu_time_is_the_start_and_rates_times_units() -> None:
    faces = StageRates(10.0, {"tasks": rate(0.1), "decoded megapixels": rate(0.01)}, {"crops": rate(0.001)}, 300)
    found = plan(calibration(faces=faces), VIDEOS, SETTINGS)
    row = found.stages[0]
    # 10 + 500 x .1 + 22500 x .01 + 4800 x .001
    assert row.cpu_hours == pytest.approx((10 + 50 + 225 + 4.8) / 3600)
    assert row.wall_hours == row.cpu_hours  # one worker, the command itself
    assert (found.tasks, found.crops, found.memory) == (830, 4800, 300)
    assert found.cpu_hours_error == 0


def test_the_error_is_that_of_the_rates() -> None:
    faces = StageRates(0.0, {"tasks": Rate(0.1, 0.5, 25)}, {"crops": Rate(0.001, 1.0, 4)}, 0)
    found = plan(calibration(faces=faces), VIDEOS, SETTINGS)
    assert found.cpu_hours_error == pytest.approx(math.hypot(500 * 0.01, 4800 * 0.0005) / 3600)


def test_crops_of_twice_the_side_cost_four_times() -> None:
    known = calibration(fidelity=StageRates(0.0, {"tasks": rate(1), "crop-conditions": rate(0.01)}, {}, 0))
    one, other = (plan(known, VIDEOS, dataclasses.replace(SETTINGS, size=size)) for size in (128, 256))
    assert one.cpu_hours == pytest.approx((150 + 384) / 3600)
    assert other.cpu_hours == pytest.approx((150 + 4 * 384) / 3600)
    assert other.stages[2].written == 4 * one.stages[2].written


def test_workers_divide_tasks_and_the_scheduler_hands_them_out_one_by_one() -> None:
    assert wall_seconds(5, 3, 100, 0, 8) == 8  # no tasks
    assert wall_seconds(5, 3, 100, 50, 1) == 108
    # two starts, then 100 / 10 and nine tenths of a task of 2 seconds
    assert wall_seconds(5, 3, 100, 50, 10) == pytest.approx(5 + 5 + 3 + 10 + 1.8)
    assert wall_seconds(5, 3, 100, 50, 10, handing_out=1.0) == 13 + 50
    assert wall_seconds(5, 3, 100, 4, 10) == pytest.approx(13 + 25 + 18.75)  # four tasks occupy four workers


def test_training_is_not_divided_beyond_its_threads() -> None:
    known = calibration(train=StageRates(0.0, {}, {"images": rate(0.01)}, 0))
    wall = [plan(known, VIDEOS, SETTINGS, workers).stages[4].wall_hours for workers in (1, 2, 64)]
    assert wall == pytest.approx([320 / 3600, 160 / 3600, 160 / 3600])


def test_disk_is_what_is_written_and_the_largest_output_twice() -> None:
    found = plan(calibration(), VIDEOS, SETTINGS)
    faces, compressed = 4800 * 1000 + 3200 * 100, 4320 * 200
    fidelity, scores = 4800 * 8 * 40, 960 * 9 * 50
    assert found.disk == faces + compressed + fidelity + scores
    assert found.disk_peak == found.disk + faces
    assert found.input_bytes == 1e9
    assert found.stages[0].read == 2e9  # hashed, then decoded


def test_the_cost_is_by_hours_used_and_by_hours_reserved() -> None:
    known = calibration(train=StageRates(3600.0, {}, {}, 0, {"images": rate(3600 / 32_000)}))
    found = plan(known, VIDEOS, SETTINGS, 10, Prices(core=0.5, gpu=2.0))
    assert (found.cpu_hours, found.gpu_hours) == (pytest.approx(1), pytest.approx(1))
    assert found.cost == pytest.approx(0.5 + 2.0)
    assert found.cost_reserved == pytest.approx(found.wall_hours * 10 * 0.5 + 2.0)


def test_a_calibration_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="is for meso4, not for efficientnet_b4"):
        plan(calibration(), VIDEOS, dataclasses.replace(SETTINGS, model="efficientnet_b4"))


# -- the command -------------------------------------------------------------------------------------------------------


def call(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["plan", *words])
    return done.exit_code, done.output


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    faces = StageRates(1.0, {"tasks": rate(3.6)}, {}, 5_000_000)
    Path("calibration.json").write_text(json.dumps(dataclasses.asdict(calibration(faces=faces))))
    status, said = call("--videos", "5000", "--workers", "10", "--price", "0.1", "--out", "plan.json")
    assert status == 0, said
    found = json.loads(Path("plan.json").read_text())
    assert found["videos"] == {**dataclasses.asdict(VIDEOS), "real": 1000, "fake": 4000, "bytes": 1e10}
    # 5000 tasks of 3.6 s, and the starts of the command, of its workers and of the other stages
    assert found["cpu_hours"] == pytest.approx((5000 * 3.6 + 11) / 3600)
    assert [row["stage"] for row in found["stages"]] == list(STAGES)
    assert found["machine"] == {"processor": "test"}
    assert "5000 videos, 48000 crops, 10 workers, test" in said
    assert f"cost: {0.1 * found['cpu_hours']:.2f} for the hours used" in said
    status, said = call("--pictures", "1000", "--fakes", "0.25", "--megapixels", "2", "--megabytes", "0.5")
    assert status == 0 and "1000 pictures, 1000 crops, 1 workers" in said, said
    assert "cost: not known without --price" in said


def test_a_calibration_of_another_machine_is_named_in_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.planning import calibrate

    monkeypatch.chdir(tmp_path)
    here = {"processor": "Cray-1", "cores": "1", "detector": "0.1.0", "torch": "2.0"}
    monkeypatch.setattr(calibrate, "here", lambda: here)
    monkeypatch.setattr(calibrate, "machine", lambda: {**here, "gpu": "none"})

    def warnings(**measured: str) -> list[str]:
        file = dataclasses.replace(calibration(), machine={**here, "gpu": "none", **measured})
        Path("calibration.json").write_text(json.dumps(dataclasses.asdict(file)))
        status, said = call("--videos", "5", "--out", "plan.json")
        assert status == 0, said
        return [line for line in said.splitlines() if line.startswith("warning: calibration.json: was measured with")]

    assert warnings() == []
    assert "other processor (Z80, here Cray-1), cores (8, here 1);" in warnings(processor="Z80", cores="8")[0]
    assert json.loads(Path("plan.json").read_text())["this_machine"] == here
    assert "other gpu (H200, here none);" in warnings(gpu="H200")[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of DATA, --videos and --pictures"),
        (("--videos", "5", "--pictures", "5"), "give one of DATA, --videos and --pictures"),
        (("--videos", "5", "--calibrate"), "--calibrate needs DATA"),
        ((".", "--frames", "3"), "--frames is for a number of videos; . is examined itself"),
        (("--pictures", "5", "--frames", "3"), "--frames is for --videos; a picture is one frame"),
        (("--videos", "5", "--calibration", "none.json"), "none.json: no such calibration; write it with"),
        (("--videos", "5", "--calibration", "wrong.json"), "wrong.json: stages.faces.start"),
        (("--videos", "5", "--calibration", "part.json"), "part.json: report is missing; write it with"),
        (("--videos", "5", "--gpu-price", "3"), "calibration.json: was made without a GPU"),
        (("--videos", "5", "--price", "nan"), "nan is not a number in the range 0<=x<=1000000000.0"),
        (("--videos", "5", "--frames", "inf"), "inf is not in the range"),
        (("--videos", str(10**13)), "is not in the range 1<=x<=1000000000000"),
        (("--videos", "5", "--params", "other.yaml"), "was made with model meso4, the parameters say mesoinception4"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    known = dataclasses.asdict(calibration())
    Path("calibration.json").write_text(json.dumps(known))
    Path("other.yaml").write_text("model: mesoinception4")
    wrong = json.loads(json.dumps(known))
    wrong["stages"]["faces"]["start"] = -1
    Path("wrong.json").write_text(json.dumps(wrong))
    part = json.loads(json.dumps(known))
    del part["stages"]["report"]
    Path("part.json").write_text(json.dumps(part))
    status, said = call(*words)
    assert status != 0
    assert message in " ".join(said.split()), said


def test_the_constants_of_the_arithmetic_are_those_of_the_stages() -> None:
    from detector import audit, explain, fidelity, score
    from detector.data import compress, properties
    from detector.pipeline import STAGES as ROWS
    from detector.planning import cost
    from evaluation import leaks

    assert [row.name for row in ROWS] == list(STAGES)
    assert {"compress": compress.CHUNK, "fidelity": fidelity.CHUNK} == cost.OF_A_TASK
    assert (cost.SOURCE_FILES, cost.AUDITED) == (properties.FILES, properties.CROPS)
    assert (cost.SCORED_BATCHES, cost.EXPLAINED_BATCH) == (score.BATCHES, explain.BATCH)
    defaults = {option.name: option.default for option in explain.command.params}
    assert (defaults["faces_measured"], defaults["features"]) == (cost.MEASURED, cost.FEATURES)
    assert (cost.COMPARED_HERE, cost.COMPARED) == (audit.MOST_HERE, leaks.SEARCHED)
    assert set(calibration().bytes) == set(BYTES)


def test_the_example_of_the_documentation_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(root)
    page = (root / "docs" / "scale.md").read_text(encoding="utf-8")
    session = page.partition("```console\n$ detector ")[2].partition("\n```\n")[0].replace("\\\n", "")
    command, *shown = session.splitlines()
    found = CliRunner().invoke(cli, shlex.split(command))
    assert found.exit_code == 0, found.output
    printed = found.output.splitlines()
    assert len(shown) > 5
    assert [line for line in shown if line != "..." and line not in printed] == []


def test_a_calibration_removes_the_folders_of_killed_ones_alone(tmp_path: Path) -> None:
    from detector.planning.command import _work_folder

    killed, running = tmp_path / ".calibration.killed", tmp_path / ".calibration.running"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "clip.mp4").write_bytes(b"x")
    descriptor = os.open(running, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with _work_folder(tmp_path) as first:
            assert not killed.exists()
            with _work_folder(tmp_path) as second:
                assert sorted(tmp_path.iterdir()) == sorted([running, first, second])
        assert list(tmp_path.iterdir()) == [running]
        assert (running / "clip.mp4").exists()
    finally:
        os.close(descriptor)
