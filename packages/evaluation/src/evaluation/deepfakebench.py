"""The results of DeepfakeBench: ``metric_dict_best.pickle``, with the faces from ``data_dict_test.pickle`` beside it.

The first holds the scores and the classes of one test set (``pred``, ``label``), the second the path of each image, in
the same order. Without the second every face counts as independent. Detectors of clips have a list of paths, those of
the clip's frames, in place of each path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Given
from pathlib import Path
from typing import Any

import numpy as np

from . import pickles
from .files import FileError, regular
from .mapping import Mapping
from .tablefile import Columns, Head
from .text import Text
from .values import shown

__all__ = ["columns_of"]

NAMES = "data_dict_test.pickle"
COMPRESSIONS = ("raw", "c23", "c40")
FF = re.compile(r"(\d{3})(?:_(\d{3}))?")                         # FaceForensics++: target_source
CELEB = re.compile(r"(id\d+)(?:_(id\d+))?_\d{4}")                # Celeb-DF: target_source_number
REMEDY = "give the metric_dict_best.pickle that DeepfakeBench writes for one test set"


def columns_of(path: Path, given: Given[str, str] | None) -> tuple[Mapping, Columns]:
    """Return the columns of the results at *path*; FileError where it holds anything else."""
    if given:
        raise FileError(f"{path}: --column is for tables; the columns of a DeepfakeBench pickle are known")
    found = _load(path)
    if not {"pred", "label"} <= found.keys():
        raise FileError(f"{path}: expected the keys pred and label, found {_keys(found)}; {REMEDY}")
    score, label = _numbers(path, found, "pred"), _numbers(path, found, "label")
    if len(score) != len(label):
        raise FileError(f"{path}: {len(score)} values in pred and {len(label)} in label; {REMEDY}")
    if not np.isin(label, (0, 1)).all():
        wrong = int(np.argmax(~np.isin(label, (0, 1))))
        raise FileError(f"{path}, row {wrong + 1}, label: {label[wrong]} is neither 0 (real) nor 1 (fake); {REMEDY}")
    texts = {"label": Text.of(label.astype(np.int8).astype(np.str_))}
    notes = ["read as results of DeepfakeBench: pred is the score"]
    beside = path.with_name(NAMES)
    if beside.is_file():
        texts |= _faces(beside, label.astype(bool), notes)
        notes.append(f"faces, videos and people are from {NAMES} beside it")
    else:
        notes.append(f"no {NAMES} beside it: the video of each face is not known")
    head = Head(path, (*texts, "score"))
    mapping = Mapping({name: name for name in (*texts, "score")}, notes)
    return mapping, Columns(head, len(score), texts, {"score": score.astype(np.float64)})


def _load(path: Path) -> dict[Any, Any]:
    try:
        return pickles.load(regular(path).read_bytes())
    except pickles.PickleError as error:
        raise FileError(f"{path}: cannot read this pickle: {error}; {REMEDY}") from None


def _keys(found: dict[Any, Any]) -> str:
    return ", ".join(shown(key, 20) for key in list(found)[:8]) or "nothing"


def _numbers(path: Path, found: dict[Any, Any], name: str) -> np.ndarray:
    value = found[name]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, RecursionError):
        raise FileError(f"{path}: {name} is not a list of numbers; {REMEDY}") from None
    if array.ndim > 1:
        array = array.squeeze()
    if array.ndim != 1:
        raise FileError(f"{path}: {name} has the shape {np.shape(value)}, not one number for each face; {REMEDY}")
    return array


def _faces(path: Path, label: np.ndarray, notes: list[str]) -> dict[str, Text]:
    """Return what the paths of the images say about each face; of a clip, the path of its first frame."""
    found = _load(path)
    images, labels = (list(part) if isinstance(part := found.get(name), tuple) else part for name in ("image", "label"))
    remedy = "give the one of the same run, or move it away to evaluate without videos"
    if type(images) is list and images and all(type(image) is list and image for image in images):
        notes.append(f"each row is a clip of {len(images[0])} frames, not a face")
        images = [image[0] for image in images]
    if type(images) is not list or not all(isinstance(image, str) for image in images):
        raise FileError(f"{path}: no list of image paths; {remedy}")
    if len(images) != len(label):
        raise FileError(f"{path}: {len(images)} images for {len(label)} scores: two runs are mixed; {remedy}")
    if isinstance(labels, list) and len(labels) == len(label):
        differs = np.array([bool(a) != bool(b) for a, b in zip(labels, label.tolist(), strict=True)], dtype=bool)
        if differs.any():
            row = int(np.argmax(differs))
            raise FileError(
                f"{path}, row {row + 1}: the label differs from that of the score ({int(differs.sum())} such rows): "
                f"two runs are mixed; {remedy}"
            )
    rows = [_face(image, fake) for image, fake in zip(images, label.tolist(), strict=True)]
    pairs = {who: face["pair"] for face in rows for who in face["identity"].split("+") if "+" in face["identity"]}
    for face in rows:
        if face["pair"] == face["identity"]:
            face["pair"] = pairs.get(face["identity"], face["pair"])
    return {name: Text.of([face[name] for face in rows]) for name in rows[0]} if rows else {}


def _face(image: str, fake: bool) -> dict[str, str]:
    """``FF++/manipulated_sequences/Deepfakes/c23/frames/000_003/012.png``: method, video, compression, people."""
    parts = [part for part in image.replace("\\", "/").split("/") if part not in ("", ".")]
    folders, name = parts[:-1], Path(parts[-1]).stem if parts else ""
    compression = next((part for part in folders if part in COMPRESSIONS), "unknown")
    kept = [part for part in folders if part not in (*COMPRESSIONS, "frames")]
    clip = kept[-1] if kept else name
    method = kept[-2] if len(kept) > 1 else "fake"
    method = method if fake else "original"
    named = FF.fullmatch(clip) or CELEB.fullmatch(clip)
    people = [person for person in named.groups() if person] if named else ["/".join(kept) or name]
    return {
        "key": "/".join(parts), "video": "/".join(kept) or name, "compression": compression,
        "frame": name if name.isascii() and name.isdigit() else "0", "method": method,
        "identity": "+".join(people), "pair": "_".join(sorted(people)),
    }  # fmt: skip
