"""The faces stage: videos to aligned, lossless crops.

Every clip is a job of its own. Its result goes to a file in a working folder beside the output, named after a hash of
all that went into it, so a run that was interrupted goes on with the clips that are left; the folder is removed when
the output is complete. The output does not depend on the number of processes.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import inspect
import json
import os
import platform
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from .. import __version__
from ..config import FacesConfig
from ..errors import DataError
from ..progress import track as progress
from . import alignment, detection, layout, png, video
from .benchmark import write_benchmark
from .executors import ProcessPool, WorkerDiedError
from .files import check_replaceable, read_json, whole_file, whole_folder, write_json
from .index import SPLITS, Face, write_index, write_rows
from .layout import Clip, Tree, find_clips
from .shards import ShardWriter, Slot


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a crop came from: box and eye centres in frame pixels, and how the eyes came (see `Detection`)."""

    key: str
    left: int
    top: int
    right: int
    bottom: int
    left_eye_x: float
    left_eye_y: float
    right_eye_x: float
    right_eye_y: float
    found: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A frame without a crop, or with an empty `frame` a whole video."""

    video: str
    frame: str
    reason: str


@dataclass(slots=True)
class Cropped:
    """What became of one clip, by frame number: crops and masks as PNG files, and what was found.

    `failures` are pairs of frame number, or None for all of the video, and reason.
    """

    crops: dict[int, bytes] = field(default_factory=dict)
    masks: dict[int, bytes] = field(default_factory=dict)
    detections: dict[int, detection.Detection] = field(default_factory=dict)
    failures: list[tuple[int | None, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to crop into the folder `work`."""

    clip: Clip
    config: FacesConfig
    work: Path


def make_faces(data: str | Path, out: str | Path, config: FacesConfig, workers: int = 0) -> dict[str, Any]:
    """Write the crops of all clips of the FaceForensics++ tree *data* to the folder *out* and return the summary.

    *out* gets shards and indexes of crops and masks, ``geometry.csv``, ``failures.csv``, ``summary.json`` and
    DeepfakeBench's JSON files. Frames without a crop and unreadable videos are counted and listed. Raises `DataError`
    if nothing was cropped at all, or as `find_clips` does.
    """
    out = Path(out)
    check_replaceable(out, "index.csv")
    tree = find_clips(data, config.compression, config.methods)
    # said here and once, should another detector have to stand in
    there = replace(config, detector=detection.make_detector(config.detector).name)
    with _working_folder(out) as work:
        jobs = [Job(clip, there, work) for clip in tree.clips]
        pool = ProcessPool(crop_clip, workers, quiet_worker)
        results: dict[str, Path | WorkerDiedError] = {}
        for job, result in progress(pool.unordered(jobs), len(jobs), "faces"):
            results[job.clip.video] = result
        with whole_folder(out, "index.csv") as folder:
            summary = _write(folder, tree, results, there, Path(data))
    return summary


def quiet_worker() -> None:
    """Keep OpenCV to one thread: the cores are busy with other clips."""
    cv2.setNumThreads(1)


def crop_clip(job: Job) -> Path:
    """Return the file in the working folder that holds the crops of a clip, made now unless it is there and whole."""
    path = job.work / f"{_fingerprint(job)}.zip"
    if not _is_whole(path):
        cropped = crop_frames(job.clip, job.config)
        with whole_file(path) as temporary:
            _store(temporary, cropped)
    return path


def crop_frames(clip: Clip, config: FacesConfig) -> Cropped:
    """Return the crops of a clip; every frame that has none is among the failures."""
    cropped = Cropped()
    try:
        footage = video.Footage(clip.path, frame_numbers(clip, config))
        found = detection.follow(footage, detection.make_detector(config.detector))
    except DataError as error:
        cropped.failures.append((None, str(error)))
        return cropped
    cropped.failures += list(footage.missing.items())
    cropped.detections = {number: face for number, face in found.items() if number not in footage.missing}
    for number, image in footage:
        if number in cropped.detections:
            similarity = alignment.align(cropped.detections[number].eyes, config.size)
            cropped.crops[number] = png.encode_png(alignment.crop(image, similarity, config.size))
        elif number not in footage.missing:
            cropped.failures.append((number, "no face found"))
    if clip.mask is not None and cropped.crops:
        _crop_masks(clip.mask, config.size, cropped)
    return cropped


def frame_numbers(clip: Clip, config: FacesConfig) -> list[int]:
    """Return which frames of a clip are taken: evenly spaced, so many in all or so many a second."""
    count, rate = video.length(clip.path)
    if config.frames_per_second is not None:
        return video.per_second(count, rate, config.frames_per_second)
    return video.evenly_spaced(count, config.frames_fake if clip.label else config.frames_real)


def _crop_masks(path: Path, size: int, cropped: Cropped) -> None:
    """Add the masks of the crops there are; one that cannot be read is a failure, its crop stays."""
    footage = video.Footage(path, cropped.crops, keep_bytes=0)
    try:
        for number, image in footage:
            similarity = alignment.align(cropped.detections[number].eyes, size)
            cropped.masks[number] = png.encode_png(alignment.crop_mask(image, similarity, size))
    except DataError as error:
        cropped.failures.append((None, f"mask: {error}"))
        return
    for number, reason in footage.missing.items():
        cropped.masks.pop(number, None)
        cropped.failures.append((number, f"mask: {reason}"))


def _fingerprint(job: Job) -> str:
    """Return a hash of everything that the crops of a clip depend on."""
    c = job.config
    used = (c.size, c.frames_fake if job.clip.label else c.frames_real, c.frames_per_second, c.detector)
    parts = [code_version(), repr(used)]
    for path in (job.clip.path, job.clip.mask):
        try:
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest() if path else "none")
        except OSError as error:  # it will be listed as unreadable, and be tried again next time
            parts.append(f"{path}: {error}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@functools.cache
def code_version() -> str:
    """Return a hash of the code and the libraries that make a crop out of a video."""
    sources = [inspect.getsource(module) for module in (alignment, detection, png, video)]
    sources.append("".join(inspect.getsource(part) for part in (crop_frames, frame_numbers, _crop_masks, _store)))
    return hashlib.sha256("\n".join([*sources, json.dumps(versions())]).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    return {
        "detector": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "av": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
    }


def _store(path: Path, cropped: Cropped) -> None:
    """Write *cropped* as a ZIP file, whose checksums tell later whether it is whole."""
    described = {
        "detections": {
            number: [found.box, found.eyes.tolist(), found.found] for number, found in cropped.detections.items()
        },
        "failures": cropped.failures,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cropped.json", json.dumps(described))
        for kind, images in (("crop", cropped.crops), ("mask", cropped.masks)):
            for number, data in images.items():
                archive.writestr(f"{kind}/{number}", data)


def _load(path: Path) -> Cropped:
    with zipfile.ZipFile(path) as archive:
        described = json.loads(archive.read("cropped.json"))
        cropped = Cropped(failures=[(frame, reason) for frame, reason in described["failures"]])
        for number, (box, eyes, found) in described["detections"].items():
            cropped.detections[int(number)] = detection.Detection(tuple(box), np.array(eyes), found)
        for name in archive.namelist():
            kind, _, number = name.partition("/")
            if number:
                (cropped.crops if kind == "crop" else cropped.masks)[int(number)] = archive.read(name)
    return cropped


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (FileNotFoundError, zipfile.BadZipFile):
        return False


@contextmanager
def _working_folder(out: Path) -> Iterator[Path]:
    """Give the folder of finished clips beside *out*, kept when the block fails, removed when it succeeds."""
    work = out.with_name(f".{out.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = f"process {lock.read().strip() or '?'}"
            raise DataError(f"{out}: {owner} is making it; wait for it, or end it with `kill`") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield work
        shutil.rmtree(work)


def _write(
    folder: Path, tree: Tree, results: dict[str, Path | WorkerDiedError], config: FacesConfig, data: Path
) -> dict[str, Any]:
    """Write all files of the stage into *folder* and return the summary."""
    faces: list[Face] = []
    masks: list[Slot] = []
    geometry: list[Geometry] = []
    failures: list[Failure] = []
    with ExitStack() as stack:
        face_shards = stack.enter_context(ShardWriter(folder, "faces"))
        mask_shards = stack.enter_context(ShardWriter(folder, "masks"))
        # in the order of the keys
        for clip in sorted(tree.clips, key=lambda clip: f"{clip.video}/"):
            result = results[clip.video]
            cropped = Cropped(failures=[(None, str(result))]) if isinstance(result, Exception) else _load(result)
            for key, number in sorted((_key(clip, number), number) for number in cropped.crops):
                faces.append(_face(clip, number, face_shards.add(key, cropped.crops[number])))
                geometry.append(_geometry(key, cropped.detections[number]))
                if number in cropped.masks:
                    masks.append(mask_shards.add(key, cropped.masks[number]))
            failures += [
                Failure(clip.video, "" if number is None else str(number), reason)
                for number, reason in sorted(cropped.failures, key=lambda failure: (failure[0] or -1, failure[1]))
            ]
    if not faces:
        raise DataError(f"{data}: no face in any of {len(tree.clips)} videos, e.g. {failures[0]}")
    write_rows(folder / "masks.csv", Slot, masks)
    write_rows(folder / "geometry.csv", Geometry, geometry)
    write_rows(folder / "failures.csv", Failure, failures)
    write_benchmark(folder, faces, {mask.key for mask in masks})
    summary = _summary(tree, faces, geometry, failures, config, data)
    write_json(folder / "summary.json", summary)
    write_index(folder / "index.csv", faces)
    return summary


def _key(clip: Clip, number: int) -> str:
    return f"{clip.compression}/{clip.video}/{number:04d}"


def _face(clip: Clip, number: int, slot: Slot) -> Face:
    return Face(
        key=slot.key,
        video=clip.video,
        compression=clip.compression,
        frame=number,
        method=clip.method,
        identity=clip.identity,
        pair=clip.pair,
        split=clip.split,
        label=clip.label,
        shard=slot.shard,
        offset=slot.offset,
        size=slot.size,
        crc32=slot.crc32,
    )


def _geometry(key: str, found: detection.Detection) -> Geometry:
    (left_x, left_y), (right_x, right_y) = found.eyes.round(2).tolist()
    return Geometry(key, *found.box, left_x, left_y, right_x, right_y, found.found)


def _summary(
    tree: Tree,
    faces: Sequence[Face],
    geometry: Sequence[Geometry],
    failures: Sequence[Failure],
    config: FacesConfig,
    data: Path,
) -> dict[str, Any]:
    clips = layout.count(tree.clips)
    counts = Counter((face.method, face.split) for face in faces)
    return {
        "dataset": _dataset(data),
        "parameters": asdict(config),
        "videos": clips,
        "faces": {method: {split: counts[method, split] for split in SPLITS} for method in clips},
        "eyes_found": _eyes_found(geometry),
        "failures": {
            "frames": sum(failure.frame != "" for failure in failures),
            "videos": sum(failure.frame == "" for failure in failures),
            "reasons": dict(sorted(Counter(failure.reason for failure in failures).items())),
        },
        "not_there": list(tree.notes),
        "versions": versions(),
    }


def _eyes_found(geometry: Iterable[Geometry]) -> dict[str, dict[str, float]]:
    """Return, by method, the share of crops whose eyes were seen in the frame, taken from the clip, or constants."""
    counts = Counter((row.key.split("/")[1], row.found) for row in geometry)
    rates: dict[str, dict[str, float]] = {}
    for method in sorted({method for method, _ in counts}, key=lambda method: (method != "original", method)):
        total = sum(n for (m, _), n in counts.items() if m == method)
        rates[method] = {how: round(counts[method, how] / total, 4) for how in ("frame", "clip", "constant")}
    return rates


def _dataset(data: Path) -> dict[str, Any]:
    """Return name, synthetic and note of the videos as their ``dataset.json`` says."""
    path = data / "dataset.json"
    if not path.exists():
        return {"name": data.resolve().name, "synthetic": None, "note": "the videos came without a dataset.json"}
    described = read_json(path)
    if not isinstance(described, dict):
        raise DataError(f"{path}: expected name, synthetic and note, got {str(described)[:60]}")
    return {name: described.get(name) for name in ("name", "synthetic", "note")}
