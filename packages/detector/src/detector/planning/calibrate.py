"""The calibration of `detector plan`: small runs of every stage on a part of the data, with the CPU time of each task.

CPU time is that of all threads, so other programs on the machine disturb it little. The stages run in this process, on
two sizes of data, after a first run that loads what is loaded once; the command of each stage runs once more in a
process of its own, which shows what its start costs and how much memory it takes.
"""

# Over 600 lines: the measurements of all stages, which share their chains.

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import io
import os
import pickle
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import FacesConfig, Params
from ..errors import DataError
from ..system import cores
from .cost import Calibration, Rate, Settings, StageRates, Videos, fit, ratio

if TYPE_CHECKING:
    from ..data.layout import Clip, Tree
    from ..data.work import Task

__all__ = ["calibrate", "describe", "here", "machine", "settings_of"]

FEW = 100  # videos that are opened to describe a folder
STEPS = (5, 25)  # of the trainings that are compared
NOTHING = 100  # tasks that do nothing, handed out to measure that
MORE_ROWS, MORE_CROPS = 16, 6  # copies of the table of scores, and of the index of crops
HASHES = 16_000  # of the comparison of hashes
PICTURES = 8


@dataclass(frozen=True, slots=True)
class Used:
    """What a process used: CPU seconds and the largest memory in bytes."""

    seconds: float
    memory: int


@dataclass(slots=True)
class Timed:
    """A run of a stage in this process: CPU seconds and wall time, of all and of each task."""

    seconds: float
    wall: float
    tasks: list[tuple[Task, float, float]]

    @property
    def own(self) -> float:
        """The seconds that are not those of tasks."""
        return max(0.0, self.seconds - sum(seconds for _, seconds, _ in self.tasks))


def settings_of(params: Params, rate: float = 25.0, frames: float = 0.0) -> Settings:
    """Return what a plan depends on of *params*, for videos of so many *frames* at *rate* a second."""
    from ..arithmetic import THREADS
    from ..conditions import parse_all

    train, faces = params.train, params.faces
    threads = (THREADS if train.reproducible else cores()) if train.threads == "auto" else train.threads
    used = None if faces.frames_per_second is None else max(1.0, frames / rate * faces.frames_per_second)
    return Settings(
        params.model, used or faces.frames_real, used or faces.frames_fake, faces.size, len(params.conditions),
        sum(bool(condition.steps) for condition in parse_all(params.conditions)),
        train.steps, train.batch_size, params.score.batch_size, threads,
    )  # fmt: skip


def describe(clips: Sequence[Clip]) -> tuple[Videos, float]:
    """Return the description of *clips*, and their mean frames per second; at most `FEW` files are opened."""
    total = sum(path.stat().st_size for clip in clips for path in (clip.pictures or (clip.path,)))
    some = clips[:: -(-len(clips) // FEW)]
    shapes = [shape for clip in some if (shape := _shape(clip)) is not None]
    if not shapes:
        raise DataError(f"{some[0].path}: none of the {len(some)} files that were opened can be read")
    share = {split: sum(clip.split == split for clip in clips) / len(clips) for split in ("train", "val")}
    fake = sum(clip.label for clip in clips)
    count, pixels, rate = (sum(column) / len(shapes) for column in zip(*shapes, strict=True))
    masks = sum(clip.mask is not None for clip in clips) / fake if fake else 0.0
    pictures = all(clip.pictures for clip in clips)
    return Videos(
        len(clips) - fake, fake, count, pixels / 1e6, float(total), masks, share["train"], share["val"], pictures
    ), rate  # fmt: skip


def _shape(clip: Clip) -> tuple[float, float, float] | None:
    """Return the frames of *clip*, the pixels of one, and frames per second; None if it cannot be read."""
    from ..data import pictures, video

    try:
        if clip.pictures:
            height, width = pictures.read_image(clip.pictures[0]).shape[:2]
            return float(len(clip.pictures)), float(height * width), 25.0
        count, rate = video.length(clip.path)
        _, image = next(iter(video.Footage(clip.path, [0])))
    except (DataError, OSError, StopIteration):
        return None
    return float(count), float(image.shape[0] * image.shape[1]), rate


def calibrate(data: Path, params: Params, folder: Path, say: Callable[[str], None]) -> Calibration:
    """Return what this machine needs for the stages with *params*, by running them on a few videos of *data*.

    *folder* receives their output. Raises `DataError` if *data* has not enough videos: one of each class in each split.
    """
    from ..data.readers import read_data

    tree = read_data(data, params.faces)
    videos, rate = describe(tree.clips)
    few, many = _subset(tree, 1, data), _subset(tree, 4, data)
    settings = settings_of(params, rate, videos.frames)
    params = dataclasses.replace(params, train=dataclasses.replace(params.train, steps=STEPS[0]))
    small, large = _Chain(data, few, folder / "small", params), _Chain(data, many, folder / "large", params)
    stages: dict[str, StageRates] = {}
    faces = _Faces(small, large, params)
    for name in ("faces", "audit", "compress", "fidelity", "train", "score", "explain", "evaluate", "report"):
        say(f"calibrating {name}")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            stages[name] = faces.rates() if name == "faces" else _MEASURED[name](small, large)
    say("calibrating the executor")
    crops = large.summary_crops()
    requested = sum(faces.examined(clip) for clip in many.clips)
    return Calibration(
        machine(), videos, settings, min(1.0, crops / requested), _handing_out(folder),
        _sizes(large), stages,
    )  # fmt: skip


def machine() -> dict[str, str]:
    """Return what a calibration is for: `here`, and the GPU."""
    import torch

    return {**here(), "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none"}


def here() -> dict[str, str]:
    """Return the processor, the number of cores and the versions of this machine, without loading torch."""
    from .. import __version__

    listed = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", listed.read_text(errors="replace")) if listed.exists() else None
    return {
        "processor": found[1] if found else platform.processor(),
        "cores": str(cores()),
        "detector": __version__,
        "torch": version("torch"),
    }


def _subset(tree: Tree, number: int, data: Path) -> Tree:
    """Return *number* real videos of each split and as many fakes, of the same pairs where there are some."""
    from ..data.index import SPLITS

    chosen: list[Clip] = []
    for split in SPLITS:
        real, fake = ([c for c in tree.clips if c.split == split and c.label == label] for label in (0, 1))
        if not real or not fake:
            raise DataError(f"{data}: a calibration needs a real and a fake video in each split, {split} has "
                            f"{len(real)} and {len(fake)}; use more files")  # fmt: skip
        by_pair: dict[str, list[Clip]] = defaultdict(list)
        for clip in fake:
            by_pair[clip.pair].append(clip)
        some = real[:: -(-len(real) // number)][:number]
        chosen += some
        for clip in some:
            group = by_pair[clip.pair] or next((g for g in by_pair.values() if g), [])
            if group:
                chosen.append(group.pop(0))
    return dataclasses.replace(tree, clips=tuple(sorted(chosen, key=lambda clip: (clip.method, clip.name))))


class _Chain:
    """The output of the stages for some clips, in a folder with the names of `detector.pipeline`."""

    def __init__(self, data: Path, tree: Tree, out: Path, params: Params) -> None:
        from ..dataset import PARAMS, write_params

        self.data, self.tree, self.out, self.params = data, tree, out, params
        self.faces, self.train = out / "faces", out / "train"
        out.mkdir(parents=True)
        write_params(out / PARAMS, params)

    def summary_crops(self) -> int:
        from ..data.index import read_index

        return len(read_index(self.faces))

    def crops(self, *splits: str) -> int:
        """Return the number of crops of *splits*."""
        from ..data.index import read_index

        return sum(face.split in splits for face in read_index(self.faces))

    def timed(self, stage: str) -> Timed:
        """Run *stage* in this process, one task after the other."""
        from ..data.work import timed

        run = _RUN[stage]
        with timed() as times:
            start, cpu = time.monotonic(), time.process_time()
            run(self)
            return Timed(time.process_time() - cpu, time.monotonic() - start, list(times))

    def started(self, stage: str) -> Used:
        """Run the command of *stage* in a process of its own."""
        from ..dataset import Dataset, arguments
        from ..pipeline import stage as row

        program, *rest = arguments(row(stage), Dataset(self.data), self.out, self.params)
        start = f"import sys; from {program}.cli import main; sys.argv[0] = {program!r}; main()"
        return _process(start, rest)


def _process(code: str, arguments: Sequence[str] = (), given: bytes = b"") -> Used:
    """Run Python *code* in a fresh process with *given* on standard input, and return what it used."""
    reading, writing = os.pipe()
    # the largest memory that wait4 reports is that of this process, if it was larger before the other program began
    status_file = "/proc/self/status" if Path("/proc/self/status").exists() else os.devnull
    note = f"import atexit, os; atexit.register(lambda: os.write({writing}, open({status_file!r}, 'rb').read()))\n"
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as input_file, os.fdopen(reading, "rb") as noted:
        input_file.write(given)
        input_file.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-c", note + code, *arguments], stdin=input_file, stdout=subprocess.DEVNULL, stderr=said,
            env={**os.environ, "DETECTOR_EXECUTOR": "serial"}, pass_fds=[writing],
        )  # fmt: skip
        os.close(writing)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words, memory = said.read().decode(errors="replace").strip(), re.search(rb"VmHWM:\s*(\d+) kB", noted.read())
    if process.returncode:
        what = shlex.join(arguments) or "a task"
        raise DataError(f"calibration: {what} ended with status {process.returncode}: {words[-500:]}")
    peak = 1024 * int(memory[1]) if memory else used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Used(used.ru_utime + used.ru_stime, peak)


# -- the stages --------------------------------------------------------------------------------------------------------


class _Faces:
    """Measures the stage faces: the cost of a task grows with the frames that are decoded, and with those used."""

    def __init__(self, small: _Chain, large: _Chain, params: Params) -> None:
        from ..data import detection

        config = params.faces
        self.small, self.large = small, large
        self.config = dataclasses.replace(config, detector=detection.configured(config).name)

    def examined(self, clip: Clip) -> int:
        """Return the number of frames of *clip* in which faces are looked for."""
        from ..data.faces import frame_numbers

        return len(clip.pictures) if clip.pictures else len(frame_numbers(clip, self.config))

    def rates(self) -> StageRates:
        from ..data.faces import crop_clip

        self.small.timed("faces")  # loads what is loaded once
        runs = [chain.timed("faces") for chain in (self.small, self.large)]
        crops = [chain.summary_crops() for chain in (self.small, self.large)]
        clips = [clip for clip in self.large.tree.clips if not clip.pictures]
        tasks = {"picture megapixels": self._pictures()}
        if clips:
            decoded = self._decoding(clips)
            rows = self._rows(clips, decoded, runs)
            constant, examined = fit(*zip(*rows, strict=True))
            tasks |= {"tasks": constant, "decoded megapixels": decoded, "examined megapixels": examined}
        own = ratio(crops, [run.own for run in runs])
        serial = {"crops": Rate(own.seconds, own.spread, own.n), "megabytes": _hashing()}
        argument = self.large.tree.clips[0], self.config
        used = _process(
            "import pickle, sys; do, given = pickle.load(sys.stdin.buffer); do(given)",
            given=pickle.dumps((crop_clip, argument)),
        )
        once = _seconds(lambda: crop_clip(argument))
        return StageRates(max(0.0, used.seconds - once), tasks, serial, used.memory)

    def _rows(self, clips: Sequence[Clip], decoded: Rate, runs: Sequence[Timed]) -> list[tuple[float, float]]:
        """Return examined megapixels and seconds without decoding, for the tasks of *runs* and for few frames."""
        from ..data.faces import crop_clip

        measured = [(task.argument[0], self.config, s) for run in runs for task, s, _ in run.tasks]
        few = dataclasses.replace(self.config, frames_real=2, frames_fake=2, frames_per_second=None)
        for clip in clips[:: -(-len(clips) // 8)]:
            measured.append((clip, few, _seconds(partial(crop_clip, (clip, few)))))
        return [
            (pixels * _frames(clip, config), max(0.0, s - decoded.seconds * pixels * _decoded(clip, config)))
            for clip, config, s in measured
            if not clip.pictures
            for pixels in [_megapixels(clip)]
        ]

    def _decoding(self, clips: Sequence[Clip]) -> Rate:
        """Return the rate of decoding, per megapixel."""
        from ..data import video

        work, seconds = [], []
        for clip in clips[:: -(-len(clips) // 8)]:
            last = video.length(clip.path)[0] - 1

            def decode(clip: Clip = clip, last: int = last) -> None:
                for _ in video.Footage(clip.path, [last]):
                    pass

            work.append((last + 1) * _megapixels(clip))
            seconds.append(_seconds(decode))
        return ratio(work, seconds)

    def _pictures(self) -> Rate:
        """Return the rate of pictures, per megapixel: those of the data, or frames of the videos as PNG files."""
        from ..data import png, video
        from ..data.faces import crop_clip

        work, seconds = [], []
        for number, clip in enumerate(self.large.tree.clips[:PICTURES]):
            if not clip.pictures:
                path = self.large.out / f"{number}.png"
                path.write_bytes(png.encode_png(video.read_frames(clip.path, [0]).images[0]))
                clip = dataclasses.replace(clip, path=path, pictures=(path,), mask=None)
            shape = _shape(clip)
            if shape is not None:
                work.append(shape[0] * shape[1] / 1e6)
                seconds.append(_seconds(partial(crop_clip, (clip, self.config))))
        if not work:
            raise _unreadable(self.large.tree.clips[0])
        return ratio(work, seconds)


def _frames(clip: Clip, config: FacesConfig) -> int:
    from ..data.faces import frame_numbers

    return len(frame_numbers(clip, config))


def _decoded(clip: Clip, config: FacesConfig) -> int:
    """Return how many frames of *clip* and of its mask are decoded."""
    from ..data.faces import frame_numbers

    return (1 + (clip.mask is not None)) * (frame_numbers(clip, config)[-1] + 1)


def _megapixels(clip: Clip) -> float:
    shape = _shape(clip)
    if shape is None:
        raise _unreadable(clip)
    return shape[1] / 1e6


def _unreadable(clip: Clip) -> DataError:
    return DataError(f"{clip.path}: cannot be read; calibrate on readable files")


def _audit(small: _Chain, large: _Chain) -> StageRates:
    small.timed("audit")
    runs = [small.timed("audit"), large.timed("audit")]
    files, crops = ([(len(task.argument[1]), s) for run in runs for task, s, _ in run.tasks
                     if task.function.__name__ == name] for name in ("examine_files", "examine_crops"))  # fmt: skip
    # its statistics grow from few crops to some more faster than later
    many = _more_crops(large)
    constant, own = fit([large.summary_crops(), many.summary_crops()], [runs[1].own, many.timed("audit").own])
    rates = {"files": ratio(*zip(*files, strict=True)), "crops": ratio(*zip(*crops, strict=True))}
    rates["pairs"] = _comparing()
    used = small.started("audit")
    start = max(0.0, used.seconds - runs[0].seconds) + constant.seconds
    return StageRates(start, rates, {"crops": own}, used.memory)


def _more_crops(chain: _Chain) -> _Chain:
    """Return a chain with the crops of *chain* `MORE_CROPS` times, of other videos and people; only the index is
    written again."""
    import shutil

    from ..data.index import Face, read_index, write_rows

    more = copy.copy(chain)
    more.out = chain.out / "more"
    if more.out.exists():
        shutil.rmtree(more.out)
    more.out.mkdir()
    more.faces = more.out / "faces"
    shutil.copytree(chain.faces, more.faces)
    (more.faces / "files.sha256").unlink()
    rows = [
        dataclasses.replace(
            face, key=f"{face.key}x{number}", video=f"{face.video}x{number}", pair=f"{number}x{face.pair}",
            identity="+".join(f"{number}x{part}" for part in face.identity.split("+")),
        )
        for number in range(MORE_CROPS)
        for face in read_index(chain.faces)
    ]  # fmt: skip
    write_rows(more.faces / "index.csv", Face, sorted(rows, key=lambda face: face.key))
    return more


def _tasked(stage: str, unit: str, many: bool = False) -> Callable[[_Chain, _Chain], StageRates]:
    """Return the measurement of a stage whose work is crops, or crops times conditions; with *many*, also of full
    batches."""

    def measure(small: _Chain, large: _Chain) -> StageRates:
        small.timed(stage)
        chains = [small, large, *([_more_crops(large)] if many else [])]
        runs = [chain.timed(stage) for chain in chains]
        rows = [(_work(stage, unit, task), s) for run in runs for task, s, _ in run.tasks]
        constant, rate = fit(*zip(*rows, strict=True))
        done = [sum(_work(stage, unit, task) for task, *_ in run.tasks) for run in runs]
        fixed, own = fit(done, [run.own for run in runs])
        used = small.started(stage)
        start = max(0.0, used.seconds - runs[0].seconds) + fixed.seconds
        return StageRates(start, {"tasks": constant, unit: rate}, {unit: own}, used.memory, _on_gpu(stage, unit, runs))

    return measure


def _work(stage: str, unit: str, task: Task) -> int:
    """Return how many units of work *task* is."""
    crops = len(task.argument[1])
    if unit == "crops" or stage == "explain":  # a task of explain is one condition
        return crops
    return crops * len(task.argument[2 if stage == "fidelity" else 3])


def _on_gpu(stage: str, unit: str, runs: Sequence[Timed]) -> dict[str, Rate]:
    """Return how long a task of a model occupies the GPU, by wall time; nothing without a GPU."""
    import torch

    if stage not in ("score", "explain") or not torch.cuda.is_available():
        return {}
    constant, rate = fit(
        *zip(*((_work(stage, unit, task), s) for run in runs for task, _, s in run.tasks), strict=True)
    )
    return {"tasks": constant, unit: rate}


def _train(small: _Chain, large: _Chain) -> StageRates:
    import torch

    small.timed("train")
    few = small.timed("train")
    validated = [chain.crops("val") * len(chain.params.conditions) for chain in (small, large)]
    more = large.timed("train")
    small.params = dataclasses.replace(small.params, train=dataclasses.replace(small.params.train, steps=STEPS[1]))
    longer = small.timed("train")
    batch = small.params.train.batch_size
    images = batch * (STEPS[1] - STEPS[0])
    image = max(0.0, longer.seconds - few.seconds) / images
    validating = max(0.0, more.seconds - few.seconds) / max(1, validated[1] - validated[0])
    used = small.started("train")
    predicted = image * batch * STEPS[0] + validating * validated[0]
    rates = {"images": Rate(image, 0.0, 1), "crop-conditions": Rate(validating, 0.0, 1)}
    gpu = {"images": Rate(max(0.0, longer.wall - few.wall) / images, 0.0, 1)} if torch.cuda.is_available() else {}
    return StageRates(max(0.0, used.seconds - predicted), {}, rates, used.memory, gpu)


def _evaluate(small: _Chain, large: _Chain) -> StageRates:
    large.started("evaluate")
    used = small.started("evaluate")
    table = small.out / "more.csv"
    rows = _repeated(small.out / "scores.csv", table)
    command = ["metrics", str(table), str(small.out / "more.json"), "--quiet"]
    more = _process("import sys; from evaluation.cli import main; sys.argv[0] = 'evaluation'; main()", command)
    rate = max(0.0, more.seconds - used.seconds) / (rows * (MORE_ROWS - 1))
    return StageRates(max(0.0, used.seconds - rate * rows), {}, {"rows": Rate(rate, 0.0, 1)}, more.memory)


def _report(small: _Chain, large: _Chain) -> StageRates:
    """Return the cost of the page, which shows at most so many faces: it does not grow with the data."""
    small.started("report")
    used = large.started("report")
    return StageRates(used.seconds, {}, {}, used.memory)


_MEASURED: dict[str, Callable[[_Chain, _Chain], StageRates]] = {
    "audit": _audit,
    "compress": _tasked("compress", "crops"),
    "fidelity": _tasked("fidelity", "crop-conditions"),
    "train": _train,
    "score": _tasked("score", "crop-conditions", many=True),
    "explain": _tasked("explain", "crop-conditions"),
    "evaluate": _evaluate,
    "report": _report,
}


def _run_faces(chain: _Chain) -> None:
    from ..data.faces import crop_tree
    from ..data.work import SERIAL

    crop_tree(chain.tree, chain.data, chain.faces, chain.params.faces, SERIAL)


def _run_audit(chain: _Chain) -> None:
    from ..audit import make_audit

    make_audit(chain.faces, chain.out / "audit", chain.data, chain.params.audit)


def _run_compress(chain: _Chain) -> None:
    from ..data.compress import compress_faces

    out, params = chain.out / "compressed", chain.params
    compress_faces(chain.faces, out, params.quality, params.compress, executor="serial")


def _run_fidelity(chain: _Chain) -> None:
    from ..conditions import parse_all
    from ..fidelity import measure

    out = chain.out
    measure(chain.faces, out / "fidelity", out / "fidelity.json", parse_all(chain.params.conditions), 0, "serial")


def _run_train(chain: _Chain) -> None:
    import shutil

    from ..training.trainer import train

    out = chain.out
    shutil.rmtree(chain.train, ignore_errors=True)
    (out / "plots").mkdir(exist_ok=True)
    train(
        chain.params, out / "compressed", chain.train, out / "plots" / "history.csv", out / "checkpoints",
        lossless=chain.faces,
    )  # fmt: skip


def _run_score(chain: _Chain) -> None:
    from ..arithmetic import arithmetic, set_threads
    from ..conditions import parse_all
    from ..score import score

    params = chain.params
    set_threads(params.train)
    score(
        chain.faces, chain.train, chain.out / "scores.csv", parse_all(params.conditions), params.score.batch_size,
        computed=arithmetic(params.train),
    )  # fmt: skip


def _run_explain(chain: _Chain) -> None:
    from ..explain import explain
    from .cost import FEATURES, MEASURED

    explain(chain.faces, chain.train, chain.out / "explain", chain.params, None, MEASURED, FEATURES)


_RUN: dict[str, Callable[[_Chain], None]] = {
    "faces": _run_faces,
    "audit": _run_audit,
    "compress": _run_compress,
    "fidelity": _run_fidelity,
    "train": _run_train,
    "score": _run_score,
    "explain": _run_explain,
}


# -- single measurements -----------------------------------------------------------------------------------------------


def _seconds(function: Callable[[], Any]) -> float:
    """Return the CPU seconds of *function*."""
    start = time.process_time()
    function()
    return time.process_time() - start


def _hashing() -> Rate:
    """Return the rate of hashing, per megabyte."""
    import hashlib

    block = bytes(1_000_000)
    return ratio([16] * 4, [_seconds(lambda: [hashlib.sha256(block) for _ in range(16)]) for _ in range(4)])


def _comparing() -> Rate:
    """Return the rate of comparing the perceptual hashes of two crops."""
    import numpy as np

    from evaluation.leaks import search

    hashed = np.random.default_rng(0).integers(0, 1 << 63, (HASHES, 4), dtype=np.uint64)
    return ratio([HASHES**2] * 3, [_seconds(lambda: search(hashed, hashed[::-1], 24, 20)) for _ in range(3)])


def nothing(argument: int) -> bytes:
    """Return the number as text: a task that takes no time."""
    return str(argument).encode()


def _handing_out(folder: Path) -> float:
    """Return the seconds that a pool of processes takes to hand out a task and keep its result."""
    from ..data.work import Executor, Task, run

    def wall(number: int, name: str) -> float:
        tasks = [Task(f"{name}{i}", str(i), nothing, i) for i in range(number)]
        start = time.monotonic()
        run(tasks, folder / "nothing", "tasks that do nothing", Executor("processes", 2), isolated=True)
        return time.monotonic() - start

    with contextlib.redirect_stderr(io.StringIO()):
        return max(0.0, wall(NOTHING + 2, "b") - wall(2, "a")) / NOTHING


def _repeated(table: Path, out: Path) -> int:
    """Write the rows of a table of scores `MORE_ROWS` times, with other videos and people; return how many it had."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for number in range(MORE_ROWS):
            writer.writerows(_renamed(rows, number))
    return sum(row["split"] == "test" for row in rows)


def _renamed(rows: Sequence[dict[str, str]], number: int) -> Iterator[dict[str, str]]:
    for row in rows:
        people = "+".join(f"{number}x{part}" for part in row["identity"].split("+"))
        named = {"video": f"{row['video']}x{number}", "pair": f"{number}x{row['pair']}", "identity": people}
        yield {**row, "key": f"{row['key']}x{number}", **named}


def _sizes(chain: _Chain) -> dict[str, float]:
    """Return the bytes by `cost.BYTES`."""
    from ..data.index import read_index, read_masks

    faces = read_index(chain.faces)
    masks = list(read_masks(chain.faces).values()) if (chain.faces / "masks.csv").is_file() else []
    jpeg = read_index(chain.out / "compressed")
    tested = chain.crops("val", "test") * len(chain.params.conditions)
    images = (chain.out / "fidelity" / "images.csv").read_bytes()
    return {
        "crop": _packed([face.size for face in faces]),
        "mask": _packed([mask.size for mask in masks]),
        "compressed": _packed([face.size for face in jpeg]),
        "score": (chain.out / "scores.csv").stat().st_size / tested,
        "fidelity": len(images) / max(1, images.count(b"\n") - 1),
    }


def _packed(sizes: Sequence[int]) -> float:
    """Return the mean bytes of members of a tar archive with *sizes*: a header, and data in blocks of 512 bytes."""
    return sum(512 + -(-size // 512) * 512 for size in sizes) / len(sizes) if sizes else 0.0
