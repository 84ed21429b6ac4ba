"""From DeepfakeBench's crops and one of its dataset files to packed crops with our index.

The file lists the crops with their video, label and split. Identities are parsed from the video names of
FaceForensics++ (``000_003``), DeepFakeDetection (``01_02__kitchen_pan__A1B2C3D4``) and Celeb-DF (``id0_id1_0000``);
in other data, every video counts as one identity.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from evaluation.values import shown

from ..errors import DataError
from ..progress import track as progress
from ..reading import read_bytes
from . import layout
from .deepfakebench import ACTORS, LABELS, PLAIN, Video, read_deepfakebench, write_deepfakebench
from .faces import Failure, face_key, face_row, versions
from .files import check_replaceable, whole_folder, write_json
from .index import SPLITS, Face, check_splits, count_identities, write_index, write_rows
from .pictures import read_image
from .png import encode_png
from .shards import ShardWriter, Slot
from .summary import describe_data

METHODS = {label: method for method, label in LABELS.items()} | {ACTORS: "original"}
CELEB = re.compile(r"(id\d+)(?:_(id\d+))?_\d+")


@dataclass(frozen=True, slots=True)
class Packed:
    """One video of a dataset file, with the columns of the index. See `detector.data.index.Face` for the terms."""

    listed: Video
    compression: str
    method: str
    identity: str
    pair: str

    @property
    def video(self) -> str:
        return f"{self.method}/{self.listed.name}"

    @property
    def split(self) -> str:
        return self.listed.split

    @property
    def label(self) -> int:
        return int(self.method != "original")


def pack_deepfakebench(
    file: str | Path,
    out: str | Path,
    root: str | Path | None = None,
    splits: Sequence[str] = (),
    compression: str | None = None,
    real: Collection[str] = (),
    fake: Collection[str] = (),
    table: str = "auto",
) -> dict[str, Any]:
    """Write the crops listed in the DeepfakeBench file *file*, and their masks, to *out* and return the summary.

    *root* is the base of relative paths; if an absolute path does not exist, its last parts are searched below *root*.
    *table* is that of `write_index`. *splits* and *compression* select videos; *real* and *fake* classify labels that
    do not end in real or fake. PNG files of 8-bit RGB are copied, others are converted to PNG. Missing and unreadable
    crops are counted and listed. Raises `DataError` for an unknown label, several compression levels, a person in two
    splits, crops of two sizes, or if there are no crops.
    """
    file, out = Path(file), Path(out)
    check_replaceable(out, "index.csv")
    videos = list_crops(file, root, splits, compression, real, fake)
    with whole_folder(out, "index.csv", sums=True) as folder:
        return _write(folder, videos, file, Path(root) if root is not None else None, table)


def list_crops(
    file: str | Path,
    root: str | Path | None = None,
    splits: Sequence[str] = (),
    compression: str | None = None,
    real: Collection[str] = (),
    fake: Collection[str] = (),
) -> list[Packed]:
    """Return the videos that `pack_deepfakebench` would pack; raises the same errors but for those of the crops."""
    file = Path(file)
    listed = [video for video in read_deepfakebench(file, root) if not splits or video.split in splits]
    videos = _describe(_of_one_level(listed, compression, file), file, real, fake)
    check_splits(videos, file)
    return videos


def persons(label: str, name: str) -> list[str] | None:
    """Return the persons in the video *name* of *label*, target first, or None if the name does not contain them."""
    if label in (ACTORS, LABELS[layout.ACTED]):
        return [f"actor{actor}" for actor in name.partition("__")[0].split("_")]
    if label in LABELS.values():
        return name.split("_")
    match = CELEB.fullmatch(name)
    return [person for person in match.groups() if person] if match else None


def _of_one_level(videos: Sequence[Video], compression: str | None, file: Path) -> list[Video]:
    levels = {video.compression or layout.GIVEN for video in videos}
    if compression is None and len(levels) > 1:
        raise DataError(f"{file}: has the levels {', '.join(sorted(levels))}; choose one with --compression")
    chosen = [v for v in videos if compression is None or (v.compression or layout.GIVEN) == compression]
    if not chosen:
        raise DataError(
            f"{file}: no videos{f' at {compression}; there is ' if levels else ''}{', '.join(sorted(levels))}"
        )
    seen: dict[tuple[str, str], Video] = {}
    for video in chosen:
        other = seen.setdefault((video.label, video.name), video)
        if other is not video:
            where = f"the splits {other.split} and {video.split}" if other.split != video.split else video.split
            raise DataError(f"{file}: {video.label}/{video.name} is twice in {where}; choose one split with --split")
    return chosen


def _describe(videos: Sequence[Video], file: Path, real: Collection[str], fake: Collection[str]) -> list[Packed]:
    shown = [persons(video.label, video.name) for video in videos]
    partner: dict[str, str] = {}
    for video, people in zip(videos, shown, strict=True):
        if video.label in LABELS.values() and people and len(people) == 2:
            partner |= {people[0]: people[1], people[1]: people[0]}
    packed = []
    for video, people in zip(videos, shown, strict=True):
        if video.split not in SPLITS:
            raise DataError(f"{file}: {video.label}/{video.name}: split must be one of {', '.join(SPLITS)}")
        people = people or [f"{video.dataset}/{video.name}"]
        pair = [people[0]]
        if video.label in LABELS.values() and video.label != LABELS[layout.ACTED]:
            pair = sorted({*people, partner.get(people[0], people[0])})
        method = _method(video.label, file, real, fake)
        packed.append(Packed(video, video.compression or layout.GIVEN, method, "+".join(people), "_".join(pair)))
    return packed


def _method(label: str, file: Path, real: Collection[str], fake: Collection[str]) -> str:
    """Return the method that *label* stands for, ``original`` for real faces."""
    if label in real or label in fake:
        return "original" if label in real else label
    if label in METHODS:
        return METHODS[label]
    if label.startswith(f"{PLAIN}_") and not label.endswith("_real"):
        return label.removeprefix(f"{PLAIN}_")
    for ending, method in (("real", "original"), ("fake", "fake")):
        if label.lower().endswith(ending):
            return method
    raise DataError(f"{file}: unknown label {shown(label)}; use --real {label} or --fake {label}")


def _write(folder: Path, videos: Sequence[Packed], file: Path, root: Path | None, table: str) -> dict[str, Any]:
    faces: list[Face] = []
    masks: list[Slot] = []
    failures: list[Failure] = []
    side, decoded = 0, 0
    entries = sorted(_entries(videos, file), key=lambda entry: entry[0])
    locate = _Locator(root)
    with ExitStack() as stack:
        face_shards = stack.enter_context(ShardWriter(folder, "faces"))
        mask_shards = stack.enter_context(ShardWriter(folder, "masks"))
        for key, video, number, path, mask in progress(entries, len(entries), "pack"):
            try:
                data, shape, as_is = read_crop_file(locate(path))
            except (DataError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                failures.append(Failure(video.video, str(number), f"{path}: {reason}"))
                continue
            side = side or shape[0]
            if shape != (side, side):
                raise DataError(f"{path}: is {shape[0]} x {shape[1]}, other crops are {side} x {side}")
            decoded += not as_is
            faces.append(face_row(video, number, face_shards.add(key, data)))
            if mask is not None:
                try:
                    masks.append(mask_shards.add(key, read_mask_file(locate(mask), side)))
                except (DataError, OSError) as error:
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    failures.append(Failure(video.video, str(number), f"mask: {mask}: {reason}"))
    if not faces:
        raise DataError(
            f"{file}: none of its {len(entries)} crops can be read, e.g. {failures[0].reason}; set --root to the "
            "folder that its paths are relative to"
        )
    write_rows(folder / "masks.csv", Slot, masks)
    write_rows(folder / "failures.csv", Failure, failures)
    write_deepfakebench(folder, faces, {mask.key for mask in masks})
    summary = _summary(videos, faces, failures, file, root, side)
    if decoded:
        summary["remarks"].append(f"{decoded} crops were not 8-bit RGB PNG files and were converted")
    write_json(folder / "summary.json", summary)
    write_index(folder / "index.csv", faces, table)
    return summary


def _entries(videos: Sequence[Packed], file: Path) -> Iterator[tuple[str, Packed, int, Path, Path | None]]:
    """Yield the key, video, frame number, image and mask of every crop."""
    for video in videos:
        frames, numbers = video.listed.frames, [int(p.stem) for p in video.listed.frames if p.stem.isdecimal()]
        if len(numbers) < len(frames):
            numbers = list(range(len(frames)))
        if len(set(numbers)) < len(numbers):
            raise DataError(f"{file}: {video.listed.label}/{video.listed.name}: two frames have the same number")
        masks = {mask.stem: mask for mask in video.listed.masks}
        for number, path in zip(numbers, frames, strict=True):
            yield face_key(video, number), video, number, path, masks.get(path.stem)


class _Locator:
    """Finds files whose paths were written on another machine, by matching the last parts of the path below *root*."""

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._skip = 1  # number of leading parts of a path that belong to the other machine

    def __call__(self, path: Path) -> Path:
        """Return *path* if it exists, else the file below the root with the same last parts, else *path*."""
        if self.root is None or path.exists():
            return path
        parts = PurePosixPath(path).parts
        for skip in dict.fromkeys([self._skip, *range(1, len(parts))]):
            found = self.root.joinpath(*parts[skip:])
            if found.is_file():
                self._skip = skip
                return found
        return path


def read_crop_file(path: Path) -> tuple[bytes, tuple[int, int], bool]:
    """Return the crop in *path* as an 8-bit RGB PNG file, its height and width, and whether the file is unchanged."""
    image = read_image(path)
    data = read_bytes(path)
    # signature, then in IHDR 8 bits a sample and colour type 2
    as_is = data.startswith(b"\x89PNG\r\n\x1a\n") and data[24:26] == b"\x08\x02"
    return data if as_is else encode_png(image), (image.shape[0], image.shape[1]), as_is


def read_mask_file(path: Path, side: int) -> bytes:
    """Return the mask in the file *path* as the bytes of a gray PNG file, 0 or 255; above 127 it is set."""
    image = read_image(path)
    if image.shape[:2] != (side, side):
        raise DataError(f"is {image.shape[0]} x {image.shape[1]}, its crop {side} x {side}")
    return encode_png(np.where(image.max(axis=2) > 127, np.uint8(255), np.uint8(0)))


def _summary(
    videos: Sequence[Packed],
    faces: Sequence[Face],
    failures: Sequence[Failure],
    file: Path,
    root: Path | None,
    side: int,
) -> dict[str, Any]:
    clips = layout.count(videos)
    unknown = sum(persons(video.listed.label, video.listed.name) is None for video in videos)
    remarks = layout.one_class_splits(videos)
    if unknown:
        remarks.append(
            f"the persons in {unknown} of {len(videos)} videos are unknown: each counts as one identity, so whether a "
            f"person is in two splits of {file.name} was not checked"
        )
    described = root if root is not None else file.parent
    dataset = (
        asdict(describe_data(described))
        if (described / "dataset.json").exists()
        else {
            "name": ", ".join(sorted({video.listed.dataset for video in videos})),
            "synthetic": None,
            "note": f"crops of DeepfakeBench, listed by {file.name}",
        }
    )
    return {
        "dataset": dataset,
        "parameters": {"size": side, "packed": file.name},
        "identities": count_identities(videos),
        "videos": clips,
        "faces": layout.count(faces, clips),
        "failures": {
            "frames": len(failures),
            "videos": 0,
            "reasons": dict(Counter(failure.reason.rpartition(": ")[2] for failure in failures)),
        },
        "not_there": [],
        "remarks": remarks,
        "versions": versions(),
    }
