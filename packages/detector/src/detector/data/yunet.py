"""YuNet: face boxes and five landmarks from ``cv2.FaceDetectorYN``, with an ONNX file supplied by the user.

The weights (``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo, MIT licence) are not part of this repository.
Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20 (2023).
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from ..errors import DataError
from . import pyramid
from .files import sha256
from .found_face import Box, FoundFace, upright_score

# score threshold of OpenCV's examples (.9 is for face recognition); overlap threshold of non-maximum suppression
SCORE, OVERLAP = 0.6, 0.3
CANDIDATES = 5000
# finer levels of the pyramid have less context and more positions
SURE = 0.75


class YunetDetector:
    """The face detector in the ONNX file *model*. Not to be shared by threads.

    Raises `DataError` if the file is missing or not a model that `cv2.FaceDetectorYN` can load.
    """

    name = "yunet"
    eyes_at = np.array([[0.29, 0.38], [0.71, 0.38]])  # not used: each of its faces has eyes
    # its score is higher for upright faces, to which it gives upright landmarks at any angle: docs/results.md
    surer = 0.005

    def __init__(self, model: str | Path) -> None:
        model_hash(model)  # raises an error if it is missing
        if not hasattr(cv2, "FaceDetectorYN"):
            raise DataError(f"OpenCV {cv2.__version__} has no FaceDetectorYN; install opencv-python>=4.10,<5")
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (64, 64), SCORE, OVERLAP, CANDIDATES)
            self._net.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise DataError(
                f"{model}: not a YuNet model that OpenCV {cv2.__version__} can run ({_in_short(error)}); "
                "it should be face_detection_yunet_2023mar.onnx (see docs/faceforensics.md)"
            ) from error

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:  # noqa: ARG002
        """Return the largest face of uint8 RGB *image*, or None; with *near*, the one that overlaps it most.

        The same score threshold applies in both cases, so *sure* has no effect.
        """
        faces = pyramid.search(image, self.faces, every=False, more_sure=SURE)
        return faces[chosen(np.array([face.box for face in faces]), near)] if faces else None

    def find_all(self, image: np.ndarray) -> list[FoundFace]:
        """Return all faces of uint8 RGB *image*, the largest first."""
        return pyramid.search(image, self.faces, every=True, more_sure=SURE)

    def certainty(self, image: np.ndarray) -> float:
        """Return the highest score of an upright face in uint8 RGB *image*, 0 if there is none."""
        return upright_score(self.faces(image))

    def faces(self, image: np.ndarray) -> list[FoundFace]:
        """Return the faces that the network sees in *image* at its own size, the largest first."""
        height, width = image.shape[:2]
        self._net.setInputSize((width, height))
        _, rows = self._net.detect(np.ascontiguousarray(image[..., ::-1]))
        if rows is None:
            return []
        # x, y, width, height; right eye (left in the image), left eye, nose, right and left corner of the mouth; score
        found = rows[:, :14].reshape(-1, 7, 2).astype(float)
        corners = np.concatenate([found[:, 0], found[:, 0] + found[:, 1]], axis=1)
        faces = []
        for i in np.argsort(-found[:, 1].prod(axis=1), kind="stable"):
            left, top, right, bottom = (int(v) for v in corners[i].clip(0, (width, height) * 2).round())
            points = found[i, 2:]
            faces.append(FoundFace((left, top, right, bottom), points[:2], points, score=float(rows[i, 14])))
        return faces


@functools.cache
def model_hash(model: str | Path) -> str:
    """Return the SHA-256 of the file *model* as hex digits; raises `DataError` if it cannot be read."""
    try:
        return sha256(model)
    except OSError as error:
        raise DataError(
            f"{model}: {error.strerror}; faces.yunet_model must be the path of face_detection_yunet_2023mar.onnx "
            "(see docs/faceforensics.md)"
        ) from error


def chosen(corners: np.ndarray, near: Box | None) -> int:
    """Return the index of the box in *corners* (N, 4) that overlaps *near* most, or of the largest if none overlaps."""
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    if near is not None:
        low, high = np.maximum(corners[:, :2], near[:2]), np.minimum(corners[:, 2:], near[2:])
        common = np.prod((high - low).clip(0), axis=1)
        if common.any():
            union = areas + (near[2] - near[0]) * (near[3] - near[1]) - common
            return int(np.argmax(common / union))
    return int(np.argmax(areas))


def _in_short(error: cv2.error) -> str:
    """Return the relevant part of OpenCV's error message."""
    return str(error).strip().splitlines()[0].rpartition("error: ")[2]
