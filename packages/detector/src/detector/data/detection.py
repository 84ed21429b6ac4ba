"""Where the face and the eyes are in the frames of a clip.

Boxes come from OpenCV's Haar cascades (``frontalface_alt2``, else ``frontalface_default``), tracked from frame to
frame. Eyes come from ``haarcascade_eye`` in the two halves of the box. A frame whose eyes are not found takes the
clip's median position relative to the box, a clip with fewer than two frames that show them takes constants: a swapped
face shows its eyes to the cascade more often than a real one, so nothing downstream may depend on whether they were
found.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ..errors import DataError

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

# Search again in the last box grown by this factor, for faces of about its size.
ROI = 1.5
SHRINK, GROW = 0.75, 1.35

# Eyes are looked for in this band of the box's height, enlarged, one in each half.
BAND = (0.15, 0.58)
ENLARGE = 1.5
# Two eyes are believed if they are this far apart, relative to the box, on a line flatter than MAX_SLOPE, and each
# within MAX_OFFSET of where eyes usually are.
DISTANCE = (0.28, 0.52)
MAX_SLOPE = 0.36
MAX_OFFSET = 0.12


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in a frame: its box, the eye centres as (2, 2) array (left in the image first, x y), and how they came.

    `found` is ``frame`` (seen in this frame), ``clip`` (median of the clip) or ``constant``.
    """

    box: Box
    eyes: np.ndarray
    found: str


class Detector(Protocol):
    """What finds faces. `eyes_at` is where eyes usually are in its boxes: (2, 2), x y in units of the width."""

    name: str
    eyes_at: np.ndarray

    def face(self, gray: np.ndarray, near: Box | None = None) -> Box | None:
        """Return the largest face of uint8 *gray*, or None; with *near*, one of about that size and place."""
        ...

    def eyes(self, gray: np.ndarray, box: Box) -> np.ndarray | None:
        """Return both eye centres inside *box*, or None."""
        ...


def make_detector(name: str) -> Detector:
    """Return the detector *name*, ``haar`` or ``lbp``.

    OpenCV 5 has no cascades; there ``haar`` is answered by ``lbp``, and standard error says so.
    """
    if name == "haar" and not hasattr(cv2, "CascadeClassifier"):
        print(f"OpenCV {cv2.__version__} has no CascadeClassifier; faces.detector lbp stands in", file=sys.stderr)
        name = "lbp"
    return _make(name)


@functools.cache
def _make(name: str) -> Detector:
    detectors: dict[str, Callable[[], Detector]] = {"haar": HaarDetector, "lbp": LbpDetector}
    return detectors[name]()


class HaarDetector:
    """OpenCV's Haar cascades. Not to be shared by threads."""

    name = "haar"
    eyes_at = np.array([[0.30, 0.385], [0.70, 0.385]])

    def __init__(self) -> None:
        self._alt2 = _cascade("haarcascade_frontalface_alt2.xml")
        self._default = _cascade("haarcascade_frontalface_default.xml")
        self._eye = _cascade("haarcascade_eye.xml")

    def face(self, gray: np.ndarray, near: Box | None = None) -> Box | None:
        left, top, right, bottom = _region(gray, near)
        smallest, largest = _sizes(gray, near)
        passes = [(self._alt2, 3, smallest), (self._default, 4, smallest)]
        if near is None:  # small faces last, and only sure ones
            passes.append((self._alt2, 5, smallest * 2 // 5))
        for cascade, neighbors, least in passes:
            boxes = cascade.detectMultiScale(
                gray[top:bottom, left:right], 1.1, neighbors, minSize=(least, least), maxSize=(largest, largest)
            )
            if len(boxes):
                x, y, w, h = (int(v) for v in max(boxes, key=lambda b: b[2] * b[3]))
                return left + x, top + y, left + x + w, top + y + h
        return None

    def eyes(self, gray: np.ndarray, box: Box) -> np.ndarray | None:
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        first = top + int(BAND[0] * height)
        band = gray[first : top + int(BAND[1] * height), left:right]
        half = width // 2
        centres = []
        for x in (0, half):
            eye = self._eye_in(band[:, x : x + half], width)
            if eye is None:
                return None
            centres.append((left + x + eye[0], first + eye[1]))
        eyes = np.array(centres)
        return eyes if self._believable((eyes - (left, top)) / width) else None

    def _eye_in(self, image: np.ndarray, width: int) -> tuple[float, float] | None:
        """Return the centre of the largest eye in *image*, half of the band of a face *width* wide."""
        # faces of large videos are brought to the size at which the cascade was tried
        scale = min(ENLARGE, ENLARGE * 120 / width)
        method = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
        big = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
        sizes = [(int(part * width * scale),) * 2 for part in (0.15, 0.45)]
        found = self._eye.detectMultiScale(big, 1.05, 3, minSize=sizes[0], maxSize=sizes[1])
        if not len(found):
            return None
        x, y, w, h = max(found, key=lambda eye: eye[2])
        return (x + w / 2) / scale, (y + h / 2) / scale

    def _believable(self, relative: np.ndarray) -> bool:
        dx, dy = relative[1] - relative[0]
        near = np.abs(relative - self.eyes_at).max() < MAX_OFFSET
        return bool(DISTANCE[0] < dx < DISTANCE[1] and abs(dy) < MAX_SLOPE * dx and near)


class LbpDetector:
    """The LBP face cascade that scikit-image carries: boxes only, so eyes are always the constants."""

    name = "lbp"
    # median of the Haar detector's eyes in this one's boxes: 122 frames of the sample, standard deviation .02 and .04
    eyes_at = np.array([[0.294, 0.39], [0.689, 0.39]])

    def __init__(self) -> None:
        from skimage import data
        from skimage.feature import Cascade

        self._cascade = Cascade(data.lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]

    def face(self, gray: np.ndarray, near: Box | None = None) -> Box | None:
        left, top, right, bottom = _region(gray, near)
        smallest, largest = _sizes(gray, near)
        found = self._cascade.detect_multi_scale(
            img=np.ascontiguousarray(gray[top:bottom, left:right]),
            scale_factor=1.1,
            step_ratio=1,
            min_size=(smallest,) * 2,
            max_size=(largest,) * 2,
        )
        if not found:
            return None
        f = max(found, key=lambda f: (f["width"] * f["height"], -f["r"], -f["c"]))
        x, y = left + int(f["c"]), top + int(f["r"])
        return x, y, x + int(f["width"]), y + int(f["height"])

    def eyes(self, gray: np.ndarray, box: Box) -> np.ndarray | None:  # noqa: ARG002 (as in Detector)
        return None


def track(frames: Mapping[int, np.ndarray], detector: Detector) -> dict[int, Detection]:
    """Return the face of each of the RGB *frames* (H, W, 3) of a clip, by frame number; see `follow`."""
    return follow(sorted(frames.items(), key=lambda item: item[0]), detector)


def follow(frames: Iterable[tuple[int, np.ndarray]], detector: Detector) -> dict[int, Detection]:
    """Return the face of each of the RGB *frames* (H, W, 3) of a clip, pairs of number and image in order, by number.

    The face is looked for around its last place first, and in the whole frame when it is lost. A frame in which none is
    found is left out.
    """
    boxes: dict[int, Box] = {}
    eyes: dict[int, np.ndarray | None] = {}
    last: Box | None = None
    for number, image in frames:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        box = detector.face(gray, last) if last is not None else None
        box = box or detector.face(gray)
        if box is not None:
            boxes[number], eyes[number], last = box, detector.eyes(gray, box), box
    return dict(zip(boxes, settle(boxes.values(), eyes.values(), detector.eyes_at), strict=True))


def settle(boxes: Iterable[Box], eyes: Iterable[np.ndarray | None], eyes_at: np.ndarray) -> list[Detection]:
    """Return a `Detection` for every box: the eyes seen, else the clip's median place in the box, else *eyes_at*."""
    pairs = list(zip(boxes, eyes, strict=True))
    seen = [(e - box[:2]) / (box[2] - box[0]) for box, e in pairs if e is not None]
    usual, found = (np.median(seen, axis=0), "clip") if len(seen) >= 2 else (eyes_at, "constant")
    return [
        Detection(box, e, "frame")
        if e is not None
        else Detection(box, np.array(box[:2]) + usual * (box[2] - box[0]), found)
        for box, e in pairs
    ]


def _region(gray: np.ndarray, near: Box | None) -> Box:
    """Return the part of the frame to search: all of it, or the box *near* grown by ROI."""
    height, width = gray.shape
    if near is None:
        return 0, 0, width, height
    left, top, right, bottom = near
    dx, dy = int((ROI - 1) / 2 * (right - left)), int((ROI - 1) / 2 * (bottom - top))
    return max(0, left - dx), max(0, top - dy), min(width, right + dx), min(height, bottom + dy)


def _sizes(gray: np.ndarray, near: Box | None) -> tuple[int, int]:
    """Return the smallest and largest side of a face: about that of *near*, else a quarter to all of the frame's."""
    if near is None:
        return max(24, gray.shape[0] // 4), min(gray.shape)
    side = near[2] - near[0]
    return int(SHRINK * side), int(GROW * side)


def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / name  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise DataError(f"{path}: OpenCV {cv2.__version__} lacks this cascade; install opencv-python>=4.10,<5")
    return cascade
