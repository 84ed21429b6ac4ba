"""The stages on a Dask cluster of four processes: the bytes of a serial run, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.data.index import read_index
from detector.data.work import Executor, read, run
from detector.remote import START, fetched

from .test_cluster import distributed, here, killing, started, tasks, wait_until
from .test_remote import bucket, server, write_plain

pytestmark = pytest.mark.alone
__all__ = ["bucket", "here", "server"]  # fixtures; every test uses here

PARAMS = """
conditions: [raw, 77, "turbo:60"]
faces: {methods: [Deepfakes, FaceSwap], size: 64, frames_real: 4, frames_fake: 2}
train: {steps: 4, batch_size: 8, eval_every: 4, conditions: [raw], threads: 1}
score: {batch_size: 4}
"""
STAGES = (
    "faces data out/faces",
    "audit out/faces out/audit --data data",
    "compress out/faces out/compressed",
    "fidelity out/faces out/fidelity out/fidelity.json",
    "score out/faces train out/scores.csv",
    "explain out/faces train out/explain",
)


def detector(*words: str) -> str:
    command = [sys.executable, "-m", "detector.cli", *words]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow(minutes=2.5)
def test_all_stages_with_tasks_write_the_bytes_of_a_serial_run_on_four_workers(
    small_tree: Path, small_faces: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_tree, "data")
    Path("params.yaml").write_text(PARAMS)
    detector("compress", str(small_faces), "compressed", "--executor", "serial")
    training = ["--faces", str(small_faces), "--history", "history.csv", "--checkpoints", "training/checkpoints"]
    detector("train", "compressed", "train", *training)
    for stage in STAGES:
        detector(*stage.split(), "--executor", "serial")
    Path("out").rename("serial")
    with started(tmp_path, 4) as four:
        for stage in STAGES:
            assert "Dask dashboard: http://" in detector(*stage.split(), "--executor", four.address)
    expected = contents(Path("serial"))
    assert {name.split("/")[0] for name in expected} == {
        *("faces", "audit", "compressed", "fidelity", "fidelity.json", "scores.csv", "scores.json", "explain")
    }
    assert contents(Path("out")) == expected


@pytest.mark.slow(minutes=4)
def test_a_thousand_videos_survive_kills_of_workers_and_none_is_lost_or_there_twice(
    write_video: Callable[..., Path], face_photograph: np.ndarray, tmp_path: Path
) -> None:
    image = np.ascontiguousarray(face_photograph[::2, ::2])
    for number in range(1000):
        frame = np.roll(image, number % 7, axis=1)
        frame[:4, :4] = number % 256, number // 256 * 60, 0  # no two are the same
        write_video(Path("data/original_sequences/youtube/c23/videos") / f"{number:03d}.mp4", [frame])
    Path("data/splits").mkdir()
    pairs = [(f"{number:03d}", f"{number + 1:03d}") for number in range(0, 1000, 2)]
    for split, some in (("train", pairs[:400]), ("val", pairs[400:450]), ("test", pairs[450:])):
        Path(f"data/splits/{split}.json").write_text(json.dumps(some))
    Path("params.yaml").write_text("faces: {methods: [Deepfakes], size: 32, frames_real: 1}\n")

    work = Path("out/.faces.work")
    with started(tmp_path, 4) as four, killing(four, work, every=70, most=12) as killed:
        detector("faces", "data", "out/faces", "--executor", four.address)
    assert len(killed) >= 8
    videos = [face.video for face in read_index(Path("out/faces"))]
    failed = [line.split(",")[0] for line in Path("out/faces/failures.csv").read_text().splitlines()[1:]]
    assert sorted([*videos, *failed]) == [f"original/{number:03d}" for number in range(1000)]
    assert len(videos) > 900
    assert not work.exists()
    Path("out").rename("survived")
    detector("faces", "data", "out/faces", "--executor", "processes")
    assert contents(Path("survived")) == contents(Path("out"))


@pytest.mark.slow(minutes=0.5)
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts a small disk, which needs root")
def test_a_full_disk_on_one_worker_alone_costs_no_task(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    some, local = tasks("wait", range(40), tmp_path), tmp_path / "local"
    local.mkdir()
    trial = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(local)]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("this environment does not allow mounts")
    with started(tmp_path, 1) as two:
        # its own disk: what it writes besides results, which go to the folder that all share
        two.environment["TMPDIR"] = str(local)
        script = f'mount -t tmpfs -o size=256k tmpfs {local} && exec "$@"'
        inside = ["unshare", "-m", "sh", "-c", script, "sh"]
        command = ("-m", "detector.cli", "worker", two.address, "--workers", "1", "--memory", "0", "--name", "full")
        two.workers.append(two._start(*command, inside=inside))
        with distributed.Client(two.address.replace("dask://", "tcp://"), set_as_default=False) as client:
            wait_until(lambda: len(client.nthreads()) == 2, "both workers are connected")
            disk = Path(f"/proc/{two.workers[1].pid}/root") / local.relative_to("/")
            with pytest.raises(OSError, match="No space left on device"), (disk / "fill").open("wb", 0) as file:
                while True:
                    file.write(bytes(4096))
            files = run(some, tmp_path / "work", "test", Executor(two.address))
            # the tasks wait for nothing here: both workers have had some
            assert len({mark.name.split(".")[1] for mark in tmp_path.glob("*.started")}) == 2
    assert [read(file) for file in files] == [str(n * n).encode() for n in range(40)]
    assert len(list((tmp_path / "work").iterdir())) == 40


@pytest.mark.slow(minutes=0.5)
def test_workers_copy_the_videos_of_their_tasks_from_s3(
    bucket: Any,
    small_tree: Path,
    small_faces: Path,
    tmp_path: Path,
) -> None:
    bucket.put(str(small_tree), "bucket/videos", recursive=True)
    Path("params.yaml").write_text(PARAMS)
    (tmp_path / "scratch").mkdir()
    with started(tmp_path, 2, environment={"TMPDIR": str(tmp_path / "scratch")}) as two:
        detector("faces", "s3://bucket/videos", "out/faces", "--executor", two.address)
    assert contents(Path("out/faces")) == contents(small_faces)
    copies = list(Path("out/fetched").rglob("*.mp4"))
    assert len(copies) == len(list(small_tree.rglob("*.mp4")))
    assert max(path.stat().st_size for path in copies) <= START  # no video in the folder that the machines share
    assert not list((tmp_path / "scratch").glob("detector-*"))


@pytest.mark.slow(minutes=0.5)
def test_workers_copy_images_and_videos_of_plain_folders_from_s3(
    bucket: Any, small_tree: Path, face_photograph: np.ndarray, tmp_path: Path
) -> None:
    bucket.put(str(write_plain(tmp_path / "plain", small_tree, face_photograph)), "bucket/plain", recursive=True)
    (tmp_path / "scratch").mkdir()
    with started(tmp_path, 2, environment={"TMPDIR": str(tmp_path / "scratch")}) as two:
        detector("faces", "s3://bucket/plain", "out/faces", "--executor", two.address)
    copies = [path for path in Path("out/fetched").rglob("*") if path.suffix in (".png", ".mp4")]
    assert copies and max(path.stat().st_size for path in copies) <= START
    assert not list((tmp_path / "scratch").glob("detector-*"))
    detector("faces", str(fetched("s3://bucket/plain")), "here", "--executor", "serial")
    assert contents(Path("out/faces")) == contents(Path("here"))
