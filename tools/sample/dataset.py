"""The whole sample: a tree of clips in the layout of FaceForensics++, made by several processes.

``dataset.json`` is written last. Until then, ``.sample/`` contains the settings and the uploads that forgeries are made
from; an interrupted run resumes with the remaining clips.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from detector.data.executors import ProcessPool, WorkerDiedError
from detector.data.files import whole_file, write_json
from detector.data.layout import folder
from detector.errors import DataError
from detector.lock import held
from detector.progress import track
from detector.schema import read_json

from .clips import HEIGHT, WIDTH, Settings, film, forge
from .forgeries import METHODS, Footage
from .splits import Pair, split_pairs
from .writer import FPS, read_video, write_video

VERSION = 2  # of the generator: incremented when the same settings give different clips
COMPRESSIONS = {"c23": 23, "c40": 40}  # folder -> constant rate factor
MASK_CRF = 23  # exact after thresholding at 127, and an ordinary profile, unlike lossless H.264
DESCRIPTION, SCRATCH = "dataset.json", ".sample"
NAME = "synthetic talking faces"
NOTE = (
    "The faces are synthetic, rendered and forged by simple image processing: they exercise the pipeline, and nothing "
    "follows from them for real deepfakes."
)
LICENCE = "MIT"  # that of the repository, which holds the generator and the clips
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Job = TypeVar("Job")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is made of a sample: pairs by split (None: by `splits.SHARES`), compressions, and whether masks."""

    splits: tuple[tuple[str, int], ...] | None = None
    compressions: tuple[str, ...] = tuple(COMPRESSIONS)
    masks: bool = True

    def pairs(self, settings: Settings) -> dict[str, list[Pair]]:
        return split_pairs(settings.seed, settings.identities // 2, None if self.splits is None else dict(self.splits))


@dataclass(frozen=True, slots=True)
class Source:
    """Job: film identity *number*."""

    out: Path
    settings: Settings
    selection: Selection
    number: int


@dataclass(frozen=True, slots=True)
class Fake:
    """Job: forge the clip of identity *target* with *source* by *method*."""

    out: Path
    settings: Settings
    selection: Selection
    method: str
    target: int
    source: int


def generate(
    out: str | Path, settings: Settings, workers: int = 1, selection: Selection = Selection()
) -> dict[str, Any]:
    """Make the sample in the folder *out* with *workers* processes, and return its description (``dataset.json``).

    Existing clips are kept; the bytes do not depend on *workers* or on existing clips. Raises `DataError` if *out*
    contains other files or a sample with other settings, or is being written by another process.
    """
    out = Path(out)
    description = describe(settings, selection)
    sources, fakes = _jobs(out, settings, selection)
    jobs: list[Source | Fake] = [*sources, *fakes]
    _check(out, description)
    if (out / DESCRIPTION).exists() and not any(_missing(files(job)) for job in jobs):
        return description
    with held(out / SCRATCH / "lock", f"is making the sample in {out}"):
        write_json(out / SCRATCH / DESCRIPTION, description)
        wanted = {number for job in fakes if _missing(files(job)) for number in (job.target, job.source)}
        _run(make_source, [job for job in sources if _needed(job, wanted)], workers, "heads filmed")
        _run(make_fake, [job for job in fakes if _missing(files(job))], workers, "clips forged")
        for split, pairs in selection.pairs(settings).items():
            write_json(out / "splits" / f"{split}.json", pairs)
        write_json(out / DESCRIPTION, description)
        _clean(out)
    return description


def describe(settings: Settings, selection: Selection = Selection()) -> dict[str, Any]:
    """Return the contents of ``dataset.json``."""
    splits = selection.pairs(settings)
    return {
        "name": NAME,
        "synthetic": True,
        "note": NOTE,
        "licence": LICENCE,
        "generator": VERSION,
        **asdict(settings),
        "pairs": {split: len(pairs) for split, pairs in splits.items()},
        "methods": list(METHODS),
        "compressions": list(selection.compressions),
        **({} if selection.masks else {"masks": False}),
        "width": WIDTH,
        "height": HEIGHT,
        "frames_per_second": FPS,
    }


def _jobs(out: Path, settings: Settings, selection: Selection) -> tuple[list[Source], list[Fake]]:
    sources = [Source(out, settings, selection, number) for number in range(settings.identities)]
    fakes = [
        Fake(out, settings, selection, method, target, target ^ 1)  # 2i and 2i + 1 are a pair
        for target in range(settings.identities)
        for method in METHODS
    ]
    return sources, fakes


def files(job: Source | Fake) -> list[Path]:
    """Return the finished files of *job*."""
    if isinstance(job, Source):
        return [folder(job.out, "original", name) / f"{job.number:03d}.mp4" for name in job.selection.compressions]
    name = f"{job.target:03d}_{job.source:03d}.mp4"
    parts = (*job.selection.compressions, *(("masks",) if job.selection.masks else ()))
    return [folder(job.out, job.method, part) / name for part in parts]


def _missing(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if not path.exists()]


def _needed(job: Source, wanted: set[int]) -> bool:
    upload, landmarks = _scratch(job.out, job.number)
    return bool(_missing(files(job))) or (job.number in wanted and bool(_missing([upload, landmarks])))


def _scratch(out: Path, number: int) -> tuple[Path, Path]:
    """Return the paths of the upload of identity *number* and of its landmarks."""
    return out / SCRATCH / f"{number:03d}.mp4", out / SCRATCH / f"{number:03d}.npy"


def _check(out: Path, description: dict[str, Any]) -> None:
    """Raise `DataError` unless *out* is empty or contains a complete or incomplete sample with these settings."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out}: is a file; the sample needs a folder")
    found = next((path for path in (out / DESCRIPTION, out / SCRATCH / DESCRIPTION) if path.exists()), None)
    if found is None:
        if any(path.name != SCRATCH for path in out.iterdir()):
            raise DataError(f"{out}: holds files, but no sample of this generator; name a new or an empty folder")
        return
    there = read_json(found)
    for key, value in description.items():
        if not isinstance(there, dict) or there.get(key) != value:
            was = there.get(key) if isinstance(there, dict) else None
            raise DataError(
                f"{found}: the sample there has {key} {was!r}, requested is {value!r}; "
                "name another folder or delete that one"
            )


def _clean(out: Path) -> None:
    """Remove the uploads and the incomplete files of killed processes."""
    shutil.rmtree(out / SCRATCH)
    for part in out.rglob(".*.part"):
        part.unlink()


def _run(function: Callable[[Job], None], jobs: Sequence[Job], workers: int, label: str) -> None:
    if not jobs:
        return
    if workers == 1:
        for _ in track(map(function, jobs), len(jobs), label):
            pass
        return
    with _one_thread_each():
        pool: ProcessPool[Job, None] = ProcessPool(function, workers, initializer=_use_one_thread)
        for job, result in track(pool.unordered(jobs), len(jobs), label):
            if isinstance(result, WorkerDiedError):
                raise DataError(f"{job}: {result}; run the same command again, finished clips are kept")


def _use_one_thread() -> None:
    cv2.setNumThreads(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit the processes started in the block to one thread each; the other cores work on other clips."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def make_source(job: Source) -> None:
    """Film the identity of *job* and write its upload and its real clips."""
    filmed = film(job.settings, job.number)
    upload, landmarks = _scratch(job.out, job.number)
    with whole_file(landmarks) as temporary, temporary.open("wb") as file:
        np.save(file, filmed.footage.landmarks)
    write_video(upload, filmed.footage.frames, filmed.upload_crf)
    frames = read_video(upload)
    for path, name in zip(files(job), job.selection.compressions, strict=True):
        write_video(path, frames, COMPRESSIONS[name])


def make_fake(job: Fake) -> None:
    """Forge the clip of *job* from the uploads of its two identities, and write it and its mask."""
    target, source = _footage(job.out, job.target), _footage(job.out, job.source)
    forgery = forge(job.settings, job.method, (job.target, job.source), target, source)
    paths = files(job)
    for path, name in zip(paths, job.selection.compressions, strict=False):
        write_video(path, forgery.frames, COMPRESSIONS[name])
    if job.selection.masks:
        write_video(paths[-1], [np.repeat(m[..., None], 3, -1) for m in forgery.masks], MASK_CRF)


def _footage(out: Path, number: int) -> Footage:
    upload, landmarks = _scratch(out, number)
    return Footage(read_video(upload), np.load(landmarks))
