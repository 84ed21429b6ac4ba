"""All persons in a clip or an image, kept apart over the frames by place and appearance.

The faces of a frame are assigned to the persons of the frames before it so that the total similarity is largest
(Hungarian method). The similarity is `PLACE` times the overlap with the person's last box plus `LOOK` times that of
appearance: the mean of the correlation of the two faces' brightness, 16 x 16, and of the intersection of their colour
histograms, with hair and shoulders. Appearance counts more, so persons who change places keep their numbers. A face
whose similarity to every person is below `SAME` is a new person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from .detection import Detection, find_rolled, follow, with_eyes
from .found_face import Box, Detector, FoundFace

__all__ = ["People", "View", "find_people", "overlap", "upright"]

PLACE, LOOK = 0.25, 0.75
SAME = 0.45
# a person is seen in at least this share of the frames of a clip, and in two of them
LEAST = 0.1
SIDE = 16
# the histogram covers the face's box grown by this factor
AROUND = 1.6
TURNS = (90, 180, 270)
# the part that is searched at all right angles is the face's box grown by this factor
SURROUNDINGS = 4.0
# CenterFace's landmarks tell which way is up for faces of about this height, not for larger ones
SEEN = 120


@dataclass(slots=True)
class People:
    """Persons, the largest first, each by frame number; and how many faces were left out as too short-lived."""

    persons: list[dict[int, Detection]]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """An image in which faces were found, turned clockwise by `turned` degrees, and the faces, the largest first."""

    image: np.ndarray
    turned: int
    faces: list[Detection]


@dataclass(slots=True)
class Track:
    """A person so far: faces by frame number, and the mean appearance."""

    faces: dict[int, FoundFace] = field(default_factory=dict)
    look: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def last(self) -> Box:
        return next(reversed(self.faces.values())).box

    def add(self, number: int, face: FoundFace, look: tuple[np.ndarray, np.ndarray]) -> None:
        self.faces[number] = face
        if self.look is None:
            self.look = look
        else:
            share = 1 / len(self.faces)
            self.look = (
                (1 - share) * self.look[0] + share * look[0],
                (1 - share) * self.look[1] + share * look[1],
            )

    def size(self) -> float:
        return float(np.median([_area(face.box) for face in self.faces.values()]))


def find_people(frames: Iterable[tuple[int, np.ndarray]], detector: Detector) -> People:
    """Return all persons in the RGB *frames* (H, W, 3) of a clip, pairs of number and image in order."""
    tracks: list[Track] = []
    count = 0
    for number, image in frames:
        count += 1
        faces = detector.find_all(image)
        if all(face.doubtful for face in faces):
            rolled = find_rolled(image, detector)
            faces = faces if rolled is None else [rolled]
        _assign(tracks, number, image, faces)
    tracks.sort(key=lambda track: -track.size())
    least = min(count, max(2, LEAST * count))
    kept = [track for track in tracks if len(track.faces) >= least and _credible(track)]
    if not kept and tracks:  # the only face of a clip counts however rarely it is seen
        kept = [max(tracks, key=lambda track: (len(track.faces), track.size()))]
    left_out = sum(len(track.faces) for track in tracks if track not in kept)
    persons = [
        dict(zip(track.faces, with_eyes(track.faces.values(), detector.eyes_at), strict=True)) for track in kept
    ]
    return People(persons, left_out)


def upright(image: np.ndarray, detector: Detector, every: bool) -> View | None:
    """Return the view of RGB *image* in which its faces are upright: as it is, or turned by another right angle.

    Face detectors find many faces that lie on their side or upside down, too. So the part of the image around the
    largest face is searched at all four angles, and another angle is taken if the face detector is clearly surer of an
    upright face there. If there is no face in the unturned image, all of it is searched. Only the largest face is
    returned, or with *every* all of them. None if there is no face at all.
    """
    faces = _faces(image, detector, every)
    if faces:
        turned = _surest(_around(image, faces[0].box), detector)
        view = turned_by(image, turned)
        found = _faces(view, detector, every) if turned else []
        return View(view, turned, found) if found else View(image, 0, faces)
    best: tuple[tuple[float, float, int], np.ndarray, int, FoundFace] | None = None
    for turned in TURNS:
        view = turned_by(image, turned)
        face = detector.find(view, sure=True)
        if face is not None:
            rank = detector.certainty(_around(view, face.box)), face.score, _area(face.box)
            if best is None or rank > best[0]:
                best = rank, view, turned, face
    if best is None:
        return None
    _, view, turned, face = best
    found = (_faces(view, detector, every=True) if every else []) or with_eyes([face], detector.eyes_at)
    return View(view, turned, found)


def turned_by(image: np.ndarray, degrees: int) -> np.ndarray:
    """Return *image* turned clockwise by *degrees*: 0, 90, 180 or 270. As np.rot90, many times as fast."""
    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return np.asarray(cv2.rotate(image, turns[degrees])) if degrees else np.ascontiguousarray(image)


def _around(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the part of *image* around the face in *box*, with the face `SEEN` pixels high or enlarged twice."""
    part = _cut(image, box, SURROUNDINGS)
    scale = min(SEEN / max(1, box[2] - box[0], box[3] - box[1]), 2.0)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = [max(1, round(side * scale)) for side in part.shape[1::-1]]
    return np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)


def _surest(image: np.ndarray, detector: Detector) -> int:
    """Return the right angle, in degrees clockwise, at which *detector* is surest of an upright face in RGB *image*.

    0 unless it is surer at another angle by more than its `surer`.
    """
    enough = detector.certainty(image) + detector.surer
    if enough >= 1:
        return 0
    sure = {turned: detector.certainty(turned_by(image, turned)) for turned in TURNS}
    best = max(sure, key=lambda turned: sure[turned])
    return best if sure[best] > enough else 0


def _faces(image: np.ndarray, detector: Detector, every: bool) -> list[Detection]:
    if not every:
        return list(follow([(0, image)], detector).values())
    return [person[0] for person in find_people([(0, image)], detector).persons]


def _assign(tracks: list[Track], number: int, image: np.ndarray, faces: list[FoundFace]) -> None:
    """Add each of the *faces* of a frame to the track that is most similar, or to a new one."""
    looks = [_look(image, face.box) for face in faces]
    known = list(tracks)
    rows = zip(faces, looks, strict=True)
    like = np.array([[_likeness(track, face, look) for track in known] for face, look in rows])
    chosen: dict[int, int] = {}
    if like.size:
        chosen = {int(i): int(j) for i, j in zip(*linear_sum_assignment(-like), strict=True) if like[i, j] >= SAME}
    for i, (face, look) in enumerate(zip(faces, looks, strict=True)):
        if i in chosen:
            track = known[chosen[i]]
        else:
            track = Track()
            tracks.append(track)
        track.add(number, face, look)


def _credible(track: Track) -> bool:
    """Return whether any face of *track* is not doubtful; Haar's boxes without eyes are often background."""
    return not all(face.doubtful for face in track.faces.values())


def _likeness(track: Track, face: FoundFace, look: tuple[np.ndarray, np.ndarray]) -> float:
    assert track.look is not None
    correlation = max(0.0, float(track.look[0] @ look[0] / (np.linalg.norm(track.look[0]) or 1.0)))
    colours = float(np.minimum(track.look[1], look[1]).sum())
    return PLACE * overlap(track.last, face.box) + LOOK * float(correlation + colours) / 2


def _look(image: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return the appearance of the face in *box*: brightness of zero mean and norm 1, and a histogram of sum 1."""
    lab = cv2.cvtColor(_cut(image, box, AROUND), cv2.COLOR_RGB2LAB)
    histogram = cv2.calcHist([lab], [0, 1, 2], None, [4, 16, 16], [0, 256, 64, 192, 64, 192]).ravel()
    gray = cv2.cvtColor(_cut(image, box, 1.0), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float).ravel()
    small -= small.mean()
    return small / (np.linalg.norm(small) or 1.0), histogram / (histogram.sum() or 1.0)


def _cut(image: np.ndarray, box: Box, factor: float) -> np.ndarray:
    left, top, right, bottom = box
    dx, dy = (factor - 1) / 2 * (right - left), (factor - 1) / 2 * (bottom - top)
    height, width = image.shape[:2]
    first = min(max(0, round(left - dx)), width - 1), min(max(0, round(top - dy)), height - 1)
    last = max(first[0] + 1, round(right + dx)), max(first[1] + 1, round(bottom + dy))
    return image[first[1] : last[1], first[0] : last[0]]


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(one) + _area(other) - width * height)


def _area(box: Box) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])
