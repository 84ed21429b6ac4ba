"""The faces stage: videos to aligned, lossless crops.

Each clip is one job. Its result is stored in a working folder beside the output, in a file named by a hash of all
inputs, so an interrupted run resumes with the remaining clips. The folder is removed when the output is complete. The
output does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
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
from ..lock import held
from ..pipeline import stage
from ..progress import track as progress
from ..tracked import check_tracked
from . import alignment, detection, layout, pictures, png, video
from .deepfakebench import write_deepfakebench
from .executors import ProcessPool, WorkerDiedError
from .files import check_replaceable, sha256, whole_file, whole_folder, write_json
from .index import Face, check_splits, count_identities, write_index, write_rows
from .layout import Clip, Described, Tree
from .readers import read_data
from .shards import ShardWriter, Slot
from .summary import describe_data

# parameters of the stage that do not affect a clip's crops; weights are hashed by content
NOT_OF_A_CLIP = ("compression", "methods", *filter(None, (row.weights for row in detection.DETECTORS.values())))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a crop comes from: box and eye centres in frame pixels, and the source of the eyes (see `Detection`)."""

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
class Landmarks:
    """The five points used to align a crop, in frame pixels, for face detectors that return them."""

    key: str
    left_eye_x: float
    left_eye_y: float
    right_eye_x: float
    right_eye_y: float
    nose_x: float
    nose_y: float
    left_mouth_x: float
    left_mouth_y: float
    right_mouth_x: float
    right_mouth_y: float


@dataclass(frozen=True, slots=True)
class Source:
    """The image file or video that a crop was cut from, relative to the data folder."""

    key: str
    file: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A frame without a crop: its number, for images the file name, or empty for a whole video."""

    video: str
    frame: str
    reason: str


@dataclass(slots=True)
class Cropped:
    """The result for one clip, by frame number: crops and masks as PNG files, and the detections.

    `failures` are pairs of frame number, or None for the whole video, and reason.
    """

    crops: dict[int, bytes] = field(default_factory=dict)
    masks: dict[int, bytes] = field(default_factory=dict)
    detections: dict[int, detection.Detection] = field(default_factory=dict)
    failures: list[tuple[int | None, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to crop into the folder `work`, by the code with the hash `code`."""

    clip: Clip
    config: FacesConfig
    work: Path
    code: str


def make_faces(data: str | Path, out: str | Path, config: FacesConfig, workers: int = 0) -> dict[str, Any]:
    """Write the crops of all clips in *data* to the folder *out* and return the summary.

    *data* has one of the layouts in `detector.data.readers`. *out* receives shards and indexes of crops and masks,
    ``geometry.csv``, ``sources.csv``, ``failures.csv``, ``summary.json`` and DeepfakeBench's JSON files, and
    ``landmarks.csv`` where the face detector gives five points. Frames without a crop and unreadable files are
    counted and listed. Raises `DataError` if there are no crops or a person is in two splits, and the errors of
    `read_data`, `detection.configured` and `check_tracked`.
    """
    out = Path(out)
    check_replaceable(out, "index.csv")
    tree = read_data(data, config)
    check_splits(tree.clips, data)
    # report a missing model or a replaced face detector once, here, and not in each worker
    there = replace(config, detector=detection.configured(config).name)
    weights = detection.DETECTORS[there.detector].weights
    if weights is not None:
        check_tracked("faces", f"faces.{weights}", Path(getattr(there, weights)))
    with _working_folder(out) as work:
        code = code_version()
        jobs = [Job(clip, there, work, code) for clip in tree.clips]
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
    """Return the file in the working folder with the crops of a clip; create it unless it exists and is intact."""
    path = job.work / f"{_fingerprint(job)}.zip"
    if not _is_whole(path):
        cropped = crop_frames(job.clip, job.config)
        with whole_file(path) as temporary:
            _store(temporary, cropped)
    return path


def crop_frames(clip: Clip, config: FacesConfig) -> Cropped:
    """Return the crops of a clip; frames without a crop are listed as failures."""
    cropped = Cropped()
    if clip.pictures:
        _crop_pictures(clip.pictures, config, cropped)
        return cropped
    try:
        footage = video.Footage(clip.path, frame_numbers(clip, config))
        found = detection.follow(footage, detection.configured(config))
    except DataError as error:
        cropped.failures.append((None, str(error)))
        return cropped
    cropped.failures += list(footage.missing.items())
    cropped.detections = {number: face for number, face in found.items() if number not in footage.missing}
    for number, image in footage:
        if number in cropped.detections:
            cropped.crops[number] = _cut(image, cropped.detections[number], config.size)
        elif number not in footage.missing:
            cropped.failures.append((number, "no face found"))
    if clip.mask is not None and cropped.crops:
        _crop_masks(clip.mask, config.size, cropped)
    return cropped


def _crop_pictures(paths: Sequence[Path], config: FacesConfig, cropped: Cropped) -> None:
    """Add the crops of images, each processed independently: they may show different scenes."""
    detector = detection.configured(config)
    for number, path in enumerate(paths):
        try:
            image = pictures.read_image(path)
        except DataError as error:
            cropped.failures.append((number, str(error)))
            continue
        except OSError as error:
            cropped.failures.append((number, error.strerror or str(error)))
            continue
        found = detection.follow([(number, image)], detector)
        cropped.detections |= found
        if found:
            cropped.crops[number] = _cut(image, found[number], config.size)
        else:
            cropped.failures.append((number, "no face found"))


def _cut(image: np.ndarray, face: detection.Detection, size: int) -> bytes:
    return png.encode_png(alignment.crop(image, alignment.align_face(face, size), size))


def frame_numbers(clip: Clip, config: FacesConfig) -> list[int]:
    """Return the frame numbers to use of a clip: evenly spaced, a fixed number in total or per second."""
    count, rate = video.length(clip.path)
    if config.frames_per_second is not None:
        return video.per_second(count, rate, config.frames_per_second)
    return video.evenly_spaced(count, config.frames_fake if clip.label else config.frames_real)


def _crop_masks(path: Path, size: int, cropped: Cropped) -> None:
    """Add the masks of the crops; an unreadable mask is a failure, but its crop is kept."""
    footage = video.Footage(path, cropped.crops, keep_bytes=0)
    try:
        for number, image in footage:
            similarity = alignment.align_face(cropped.detections[number], size)
            cropped.masks[number] = png.encode_png(alignment.crop_mask(image, similarity, size))
    except DataError as error:
        cropped.failures.append((None, f"mask: {error}"))
        return
    for number, reason in footage.missing.items():
        cropped.masks.pop(number, None)
        cropped.failures.append((number, f"mask: {reason}"))


def _fingerprint(job: Job) -> str:
    """Return a hash of everything that the crops of a clip depend on.

    All parameters of the stage count, except those that select clips and the frame count of the other class.
    """
    values = {name: value for name, value in asdict(job.config).items() if name not in NOT_OF_A_CLIP}
    del values["frames_real" if job.clip.label else "frames_fake"]
    model = "".join(detection.weights_digest(job.config).values())
    parts = [job.code, json.dumps(values), model]
    for path in (*(job.clip.pictures or [job.clip.path]), job.clip.mask):
        try:
            parts.append(sha256(path) if path else "none")
        except OSError as error:  # it will be listed as unreadable, and retried in the next run
            parts.append(f"{path}: {error}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def code_version() -> str:
    """Return a hash of the code that the stage can load and of the libraries that decode, detect and align."""
    return hashlib.sha256(f"{stage('faces').code_sha256()}\n{json.dumps(versions())}".encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the crops depend on."""
    return {
        "detector": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "av": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
    }


def _store(path: Path, cropped: Cropped) -> None:
    """Write *cropped* as a ZIP file, whose checksums later show whether it is intact."""
    described = {
        "detections": {
            number: [
                found.box,
                found.eyes.tolist(),
                found.found,
                found.points if found.points is None else found.points.tolist(),
            ]
            for number, found in cropped.detections.items()
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
        for number, (box, eyes, found, points) in described["detections"].items():
            points = None if points is None else np.array(points)
            cropped.detections[int(number)] = detection.Detection(tuple(box), np.array(eyes), found, points)
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
    """Yield the folder of finished clips beside *out*; it is kept if the block fails and removed if it succeeds."""
    work = out.with_name(f".{out.name}.work")
    with held(work / "lock", f"is making {out}"):
        yield work
        shutil.rmtree(work)


def _write(
    folder: Path, tree: Tree, results: dict[str, Path | WorkerDiedError], config: FacesConfig, data: Path
) -> dict[str, Any]:
    """Write all files of the stage into *folder* and return the summary."""
    faces: list[Face] = []
    masks: list[Slot] = []
    geometry: list[Geometry] = []
    landmarks: list[Landmarks] = []
    sources: list[Source] = []
    failures: list[Failure] = []
    with ExitStack() as stack:
        face_shards = stack.enter_context(ShardWriter(folder, "faces"))
        mask_shards = stack.enter_context(ShardWriter(folder, "masks"))
        # in the order of the keys
        for clip in sorted(tree.clips, key=lambda clip: f"{clip.video}/"):
            result = results[clip.video]
            cropped = Cropped(failures=[(None, str(result))]) if isinstance(result, Exception) else _load(result)
            for key, number in sorted((face_key(clip, number), number) for number in cropped.crops):
                faces.append(face_row(clip, number, face_shards.add(key, cropped.crops[number])))
                found = cropped.detections[number]
                geometry.append(_geometry(key, found))
                if found.points is not None:
                    landmarks.append(Landmarks(key, *found.points.round(2).ravel().tolist()))
                file = clip.pictures[number] if clip.pictures else clip.path
                sources.append(Source(key, file.relative_to(data).as_posix()))
                if number in cropped.masks:
                    masks.append(mask_shards.add(key, cropped.masks[number]))
            failures += [
                Failure(clip.video, _frame_name(clip, number), reason)
                for number, reason in sorted(cropped.failures, key=lambda failure: (failure[0] or -1, failure[1]))
            ]
    if not faces:
        first = failures[0]
        where = f"{first.video}, {first.frame}" if first.frame else first.video
        raise DataError(
            f"{data}: no face in any of {len(tree.clips)} videos, e.g. {where}: {first.reason}; "
            "try another faces.detector (see docs/faceforensics.md)"
        )
    write_rows(folder / "masks.csv", Slot, masks)
    write_rows(folder / "geometry.csv", Geometry, geometry)
    write_rows(folder / "failures.csv", Failure, failures)
    if landmarks:
        write_rows(folder / "landmarks.csv", Landmarks, landmarks)
    write_rows(folder / "sources.csv", Source, sources)
    write_deepfakebench(folder, faces, {mask.key for mask in masks})
    summary = _summary(tree, faces, geometry, failures, config, data)
    write_json(folder / "summary.json", summary)
    write_index(folder / "index.csv", faces)
    return summary


def _frame_name(clip: Clip, number: int | None) -> str:
    if number is None:
        return ""
    return clip.pictures[number].name if clip.pictures else str(number)


def face_key(clip: Described, number: int) -> str:
    """Return the key of frame *number* of a clip."""
    return f"{clip.compression}/{clip.video}/{number:04d}"


def face_row(clip: Described, number: int, slot: Slot) -> Face:
    """Return the row of the index for the crop of frame *number* of a clip."""
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
    parameters = asdict(config) | detection.weights_digest(config)
    return {
        "dataset": asdict(describe_data(data)),
        "parameters": parameters,
        "identities": count_identities(tree.clips),
        "videos": clips,
        "faces": layout.count(faces, clips),
        "eyes_found": _eyes_found(geometry),
        "failures": {
            "frames": sum(failure.frame != "" for failure in failures),
            "videos": sum(failure.frame == "" for failure in failures),
            "reasons": dict(sorted(Counter(failure.reason for failure in failures).items())),
        },
        "not_there": list(tree.notes),
        "remarks": list(tree.remarks),
        "versions": versions(),
    }


def _eyes_found(geometry: Iterable[Geometry]) -> dict[str, dict[str, float]]:
    """Return, by method, the shares of crops with eyes found in the frame, taken from the clip, or constant."""
    counts = Counter((row.key.split("/")[1], row.found) for row in geometry)
    rates: dict[str, dict[str, float]] = {}
    for method in sorted({method for method, _ in counts}, key=lambda method: (method != "original", method)):
        total = sum(n for (m, _), n in counts.items() if m == method)
        rates[method] = {how: round(counts[method, how] / total, 4) for how in ("frame", "clip", "constant")}
    return rates

