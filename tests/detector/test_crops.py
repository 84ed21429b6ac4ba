"""Tasks over crops: crop by crop if their workers die, never in the process of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from detector import fidelity
from detector.config import CompressConfig
from detector.data import compress, properties, work
from detector.data.crops import crops_task
from detector.data.index import read_index
from detector.data.png import encode_png
from detector.data.shards import ShardReader
from detector.errors import DetectorError

# ends the process that it runs in, unless it is that of the command
KILLS = """
import os, signal
from detector.data.compress import encode_crops
from detector.data.properties import examine_files

def end():
    assert str(os.getpid()) != os.environ["COMMAND"], "this would end the command"
    os.kill(os.getpid(), signal.SIGKILL)

def encode(argument):
    if os.environ["HOPELESS"] in {face.key for face in argument[1]}:
        end()
    return encode_crops(argument)

def examine(argument):
    return end() if os.environ["HOPELESS"] in argument[1] else examine_files(argument)
"""


@pytest.fixture
def killing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    def made(hopeless: str) -> ModuleType:
        (tmp_path / "kills_workers.py").write_text(KILLS)
        monkeypatch.syspath_prepend(tmp_path)
        for name, value in (("PYTHONPATH", tmp_path), ("COMMAND", os.getpid()), ("HOPELESS", hopeless)):
            monkeypatch.setenv(name, str(value))
        monkeypatch.delitem(sys.modules, "kills_workers", raising=False)
        import kills_workers  # type: ignore[import-not-found]

        module: ModuleType = kills_workers
        return module

    return made


@pytest.mark.parametrize(
    ("function", "others", "join"),
    [
        (compress.encode_crops, (60, CompressConfig()), compress._joined),
        (fidelity.measure_crops, (["77", "webp:50"],), fidelity._joined),
        (properties.examine_crops, (), properties._of_all_crops),
    ],
)
def test_crop_by_crop_a_task_has_the_same_result(
    packed_crops: dict[str, Path], tmp_path: Path, function: Any, others: tuple[Any, ...], join: Any
) -> None:
    reader, faces = ShardReader(packed_crops["faces"]), read_index(packed_crops["faces"])[:5]
    task = crops_task("depends", function, reader, faces, others, join)
    assert task.division is not None
    pieces = task.division.divide(task.argument)
    assert [piece.name for piece in pieces] == [face.key for face in faces]
    assert not any(piece.division for piece in pieces)
    assert len({task.key, *(piece.key for piece in pieces)}) == 6
    assert task.division.join([work.finish(piece, tmp_path) for piece in pieces]) == task.function(task.argument)


def test_a_crop_that_kills_its_workers_is_named_and_takes_no_other_with_it(
    packed_crops: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killing: Callable[[str], ModuleType],
) -> None:
    faces = [face for face in read_index(packed_crops["faces"]) if face.split == "val"]
    hopeless = faces[3].key
    arguments = packed_crops["faces"], tmp_path / "compressed", 60, CompressConfig(), 1, ("val",)
    with monkeypatch.context() as patch:
        patch.setattr(compress, "encode_crops", killing(hopeless).encode)
        message = rf"^1 tasks could not be finished:\n{hopeless}: the worker process died 3 times"
        with pytest.raises(DetectorError, match=message):
            compress.compress_faces(*arguments)
    done = list((tmp_path / ".compressed.work").glob("*.done"))
    assert len(done) == len(faces) - 1  # all others, of the one task that they were


def test_a_source_file_cannot_end_an_audit_with_one_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killing: Callable[[str], ModuleType]
) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(np.full((8, 8, 3), 9, np.uint8)))
    (tmp_path / "sources.csv").write_text("key,file\nx,a.png\n")
    monkeypatch.setattr(properties, "examine_files", killing("a.png").examine)
    with pytest.raises(DetectorError, match=r"^1 tasks could not be finished:\na.png: the worker process died 3 times"):
        where, reader = work.Executor("processes", 1), ShardReader(tmp_path)
        properties.read_items(tmp_path, [], tmp_path, where, tmp_path / "work", reader)
