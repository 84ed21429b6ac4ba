"""Examines files with one set of weights: start-up once, then an answer for each file."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import set_threads
from ..card import POOLED, Card, framing_of, resample_of
from ..conditions import Condition, parse_all
from ..config import Params
from ..data.pictures import kind_of
from ..errors import ConfigError, DataError, DetectorError
from ..ranges import Input, distance_of, outside
from ..reading import read_bytes
from . import condition as conditions
from . import history, record, verdict
from .pages import images_in
from .people import RAW, Person, footage_of, people_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..data.found_face import Detector
    from ..explain import Explainer
    from ..precision import Precision

__all__ = ["RESHARED", "Examined", "Examiner", "Options", "caution_of"]

Image = NDArray[np.uint8]
# what sites and messengers commonly do to an upload: recompress it, also after halving its size
RESHARED = ("turbo:85", "turbo:70", "webp:75", "resize:0.5>turbo:75")
TELLING = 3  # frames of a clip that maps are drawn of
# Crops per forward pass, always: sums depend on the size of a batch in the last bits, but neither on an image's place
# in it nor on the others, so that crops of several files can share a batch. A short one is filled up.
BATCH = 8


@dataclass(frozen=True, slots=True)
class Options:
    """How files are examined.

    prior: P(fake) before the score is known. frames: scored per video. aligned: images are aligned crops. reshared:
    conditions applied to the whole image for the robustness, none to leave it out. maps: whether heat maps are drawn.
    history: whether the bytes of JPEG files are examined.
    """

    prior: float = 0.5
    frames: int = 16
    aligned: bool = False
    reshared: tuple[str, ...] = ()
    maps: bool = False
    history: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise ConfigError(f"the prior must be between 0 and 1, without both, got {self.prior}")
        parse_all(self.reshared)


@dataclass(frozen=True, slots=True)
class Examined:
    """The answer for a file, and its images, uint8 RGB, by name: crops, maps, and those of the history."""

    answer: record.Answer
    crops: dict[str, Image] = field(default_factory=dict)
    maps: dict[str, Image] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A file before its crops are scored. answer: without faces; reshared: the persons after re-sharing."""

    answer: record.Answer
    condition: record.Condition
    persons: list[Person]
    reshared: list[Person]
    maps: dict[str, Image]
    notes: tuple[str, ...]

    @property
    def crops(self) -> list[Image]:
        """All crops, (C, H, W, 3) each."""
        return [crops for person in (*self.persons, *self.reshared) for crops in person.crops.values()]

    @property
    def count(self) -> int:
        return sum(len(crops) for crops in self.crops)


def caution_of(card: Card) -> str | None:
    """Return the warning that precedes all numbers of these weights, None if there is none."""
    data = card.data
    if data is None or data.synthetic is None:
        return "It is not known what data these weights were trained on: do not rely on their scores."
    if data.synthetic:
        return "These weights were trained on synthetic data: nothing follows from them for real images and videos."
    return None


class Examiner:
    """Answers for files by the weights in the folder *train*. Not to be used by several threads at once.

    DataError if *train* is incomplete or the model does not take square crops.
    """

    def __init__(self, train: Path, params: Params, options: Options = Options()) -> None:
        import torch

        from ..data.detection import configured
        from ..precision import Precision
        from ..weights import load_model

        set_threads(params.train)
        self.params, self.options = params, options
        self.device: torch.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model: nn.Module
        self.model, self.card = load_model(train, self.device)
        self.precision: Precision = Precision("auto", self.device)
        if self.card.height != self.card.width:
            raise DataError(
                f"{train}: the model takes {self.card.height} x {self.card.width} pixels; faces are cut out square"
            )
        self.detector: Detector | None = None if options.aligned else configured(params.faces)
        self.reshared: list[Condition] = list(parse_all(options.reshared))
        self.caution = caution_of(self.card)
        self.weights = _weights(self.card)
        self.settings = _settings(self.card, params, options)
        self._explainer: Explainer | None = None

    def under(self, options: Options) -> Examiner:
        """Return an examiner with other *options* and the same weights, which stay in memory once."""
        from ..data.detection import configured

        other = copy.copy(self)
        other.options = options
        other.detector = None if options.aligned else self.detector or configured(self.params.faces)
        other.reshared = list(parse_all(options.reshared))
        other.settings = _settings(self.card, self.params, options)
        return other

    def examine(self, path: Path, name: str | None = None) -> Examined:
        """Return the answer for the file *path*, called *name* in it.

        What is wrong with the file is in the answer; other errors (of the weights) are raised.
        """
        return next(self.examine_all([(path, record.name_of(path) if name is None else name)]))

    def examine_all(self, files: Iterable[tuple[Path, str]]) -> Iterator[Examined]:
        """Yield the answer for each of *files*, path and name, in order: the same as of `examine`, to the last bit.

        Crops of several files share a batch, so an answer comes as soon as the batch with its last crop is full.
        """
        waiting: list[_Prepared | Examined] = []
        for path, name in files:
            waiting.append(self._prepared(path, name))
            crops = sum(one.count for one in waiting if isinstance(one, _Prepared))
            if crops == 0 or crops >= BATCH:
                yield from self._finished(waiting)
                waiting = []
        yield from self._finished(waiting)

    def _prepared(self, path: Path, name: str) -> _Prepared | Examined:
        data = None
        try:
            data = _contents(path)
            if not data:
                raise DataError("the file is empty")
            return self._prepare(path, name, data)
        except OSError as error:
            return Examined(self._empty(name, data, error.strerror or type(error).__name__))
        except MemoryError:
            return Examined(self._empty(name, data, "the memory does not suffice for it"))
        except DataError as error:
            return Examined(self._empty(name, data, str(error)))

    def _prepare(self, path: Path, name: str, data: bytes) -> _Prepared:
        footage = footage_of(path, self.options.frames)
        images = footage.images
        kind: Literal["image", "video"] = "video" if kind_of(path) == "video" else "image"
        number = images_in(data) if kind == "image" else 1
        try:
            persons = self._people(images)
        except DataError as error:
            raise DataError(f"{error} in the first of its {number} images" if number > 1 else str(error)) from error
        further = (f"the file has {number} images (frames or pages); only the first was examined",) * (number > 1)
        first = next(iter(images.values()))
        if kind == "video":
            found = conditions.of_video(self.card)
        elif data.startswith(b"\xff\xd8"):
            found = conditions.from_tables(data, self.card)
        else:
            found = conditions.estimated(first, self.card)
        past = history.examine(data) if self.options.history and kind == "image" else history.Examined(None)
        answer = replace(
            self._empty(name, data, ""),
            error=None,
            kind=kind,
            width=first.shape[1],
            height=first.shape[0],
            num_frames=len(images),
            condition=found,
            history=past.history,
        )
        return _Prepared(
            answer,
            found,
            persons,
            self._people(images, self.reshared, whole_image=True) if self.reshared else [],
            {f"history-{what}": image for what, image in past.maps.items()},
            (*sorted(footage.notes), *further),
        )

    def _finished(self, waiting: Sequence[_Prepared | Examined]) -> Iterator[Examined]:
        prepared = [one for one in waiting if isinstance(one, _Prepared)]
        logits = self._logits([crops for one in prepared for crops in one.crops])
        ends = np.cumsum([one.count for one in prepared])
        parts = iter(np.split(logits, ends[:-1]))
        for one in waiting:
            yield one if isinstance(one, Examined) else self._finish(one, next(parts))

    def _finish(self, one: _Prepared, logits: NDArray[np.float64]) -> Examined:
        """Return the answer for the file *one* by the logits of its crops."""
        from ..inference import check_finite

        try:
            check_finite(logits, lambda i: f"crop {i + 1}")
        except DetectorError as error:
            return Examined(self._empty(one.answer.file, None, str(error), one.answer))
        own = sum(len(person.crops) for person in one.persons)
        moved = self._moved(one.reshared, logits[own:])
        faces, crops, maps, at = [], {}, dict(one.maps), 0
        for number, person in enumerate(one.persons):
            scored = logits[at : at + len(person.crops)]
            at += len(person.crops)
            robustness = moved[number] if number < len(moved) else None
            notes = (*person.notes, *one.notes)
            kind = str(one.answer.kind)
            faces.append(self._face(number + 1, person, scored, one.condition.label, kind, robustness, notes))
            stem = f"person-{number + 1}"
            frames = dict(zip(person.crops, scored.tolist(), strict=True))
            crops.update({f"{stem}-frame-{frame:06d}": person.crops[frame][0] for frame in frames})
            if self.options.maps:
                maps.update(self._maps(stem, person, frames))
        decided, reason = verdict.of_file([(face.verdict, face.reason) for face in faces])
        return Examined(replace(one.answer, verdict=decided, reason=reason, faces=tuple(faces)), crops, maps)

    def _people(
        self, images: Mapping[int, Image], under: Sequence[Condition] = RAW, whole_image: bool = False
    ) -> list[Person]:
        card = self.card
        how = framing_of(card), under, whole_image, resample_of(card)
        return people_of(images, card.height, self.detector, *how)

    def _empty(
        self, name: str, data: bytes | None, error: str, known: record.Answer | None = None
    ) -> record.Answer:
        """Return the answer for a file without one; hash and size are those of *data*, or of the answer *known*."""
        return record.Answer(
            caution=self.caution,
            format=record.FORMAT,
            file=name,
            sha256=known.sha256 if known else None if data is None else hashlib.sha256(data).hexdigest(),
            size=known.size if known else None if data is None else len(data),
            error=error,
            verdict=None,
            reason=None,
            prior=self.options.prior,
            kind=None,
            width=None,
            height=None,
            num_frames=None,
            condition=None,
            history=None,
            faces=(),
            weights=self.weights,
            settings=self.settings,
        )

    def _logits(self, crops: Sequence[Image]) -> NDArray[np.float64]:
        """Return the logit of every image of *crops*, (C, H, W, 3) each, in order, in batches of `BATCH`."""
        import torch

        from ..inference import logits_unchecked

        if not crops:
            return np.empty(0)
        images = np.concatenate(list(crops))
        missing = -len(images) % BATCH
        filled = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
        batches = torch.split(torch.from_numpy(filled), BATCH)
        return logits_unchecked(self.model, batches, self.device, self.precision)[: len(images)]

    def _moved(self, persons: Sequence[Person], logits: NDArray[np.float64]) -> list[dict[str, float]]:
        """Return for each person the score after each of the re-sharing conditions, applied to the whole image."""
        found = []
        for person in persons:
            count = len(person.crops) * len(self.reshared)
            means = _sigmoid(logits[:count]).reshape(len(person.crops), -1).mean(axis=0)
            logits = logits[count:]
            found.append({str(one): float(mean) for one, mean in zip(self.reshared, means, strict=True)})
        return found

    def _face(
        self,
        number: int,
        person: Person,
        logits: NDArray[np.float64],
        label: str,
        kind: str,
        robustness: dict[str, float] | None,
        notes: tuple[str, ...],
    ) -> record.Face:
        card, frames = self.card, tuple(person.crops)
        level = "video" if kind == "video" else "frame"
        scores = _sigmoid(logits)
        value = float(scores.mean())
        logit = float(logits[0]) if level == "frame" else _logit(value)
        calibration = verdict.calibration_of(card, label, level)
        if calibration is None and label != POOLED:
            calibration, label = verdict.calibration_of(card, POOLED, level), POOLED
        likelihood = None if calibration is None else verdict.likelihood(calibration, logit, self.options.prior)
        threshold = verdict.threshold_of(card, label, level)
        given = _input(person)
        reasons = outside(card.ranges, given) if card.ranges is not None else []
        decided, reason = verdict.decide(likelihood, value, threshold, reasons)
        if card.ranges is None and not reasons and likelihood is not None:
            decided, reason = "inconclusive", "it is not known what these weights were validated on; train them again"
        appearance = card.ranges.appearance if card.ranges is not None else None
        properties: dict[str, float | str | None] = {
            "scale": _short(given.scale),
            "border": _short(given.border),
            "sharpness": _short(given.sharpness),
            "landmarks": given.landmarks or None,
            "distance": None if appearance is None else _short(distance_of(appearance, given.appearance)),
            "distance_limit": None if appearance is None else appearance.limit,
        }
        place = person.places.get(frames[0])
        return record.Face(
            person=number,
            frames=frames,
            box=place.box if place else None,
            corners=tuple((round(float(x), 2), round(float(y), 2)) for x, y in place.corners) if place else None,  # type: ignore[arg-type]
            score=record.Score(
                value=value,
                level=level,  # type: ignore[arg-type]
                by_frame={str(frame): float(score) for frame, score in zip(frames, scores, strict=True)},
                threshold=threshold,
                standardised=verdict.standard_score(card, label, logit),
            ),
            likelihood=None if reasons else likelihood,  # nothing supports a ratio outside the range
            verdict=decided,
            reason=reason,
            outside=tuple(reasons),
            input=properties,
            robustness=tuple(
                record.Moved(condition, score, score - value) for condition, score in (robustness or {}).items()
            ),
            notes=notes,
        )

    def _maps(self, stem: str, person: Person, logits: Mapping[int, float]) -> dict[str, Image]:
        """Return the heat maps over the crops of the frames with the largest absolute logits."""
        from ..explain import Explainer, overlay
        from ..models import MODELS

        if self._explainer is None:
            self._explainer = Explainer(self.model, MODELS[self.card.model].feature_maps, self.device)
        frames = sorted(sorted(logits, key=lambda frame: -abs(logits[frame]))[:TELLING])
        found = {}
        for frame in frames:
            image = person.crops[frame][:1]
            for kind, heat in self._explainer(image).maps.items():
                found[f"{stem}-frame-{frame:06d}-{kind}"] = overlay(image[0], heat[0])
        return found


def _input(person: Person) -> Input:
    """Return what of *person* is compared with the range of the weights: medians over the frames."""
    import cv2

    from ..data.appearance import appearance, sharpness

    images = [crops[0] for crops in person.crops.values()]
    sharp = [sharpness(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)) for image in images]
    places = list(person.places.values())
    found = [place.found for place in places]
    return Input(
        scale=float(np.median([place.scale for place in places])) if places else None,
        border=float(np.median([place.border for place in places])) if places else None,
        sharpness=float(np.median(sharp)),
        landmarks=max(sorted(set(found)), key=found.count) if found else "",
        appearance=np.median([appearance(image) for image in images], axis=0),
    )


def _weights(card: Card) -> record.Weights:
    data = card.data
    return record.Weights(
        sha256=card.weights_sha256,
        model=card.model,
        data=data.name if data else None,
        synthetic=data.synthetic if data else None,
        note=data.note if data else None,
        trained_on=card.trained_on,
        conditions=tuple(label for label in card.calibration if label != POOLED),
        commit=card.source.commit if card.source else None,
    )


def _settings(card: Card, params: Params, options: Options) -> str:
    """Return a hash of everything but the file that an answer depends on, 16 hex digits."""
    import dataclasses

    from ..provenance import versions

    values: dict[str, Any] = {
        "weights": card.weights_sha256,
        "calibration": hashlib.sha256(repr((card.calibration, card.pooled, card.ranges)).encode()).hexdigest(),
        "faces": [params.faces.detector, params.faces.yunet_model, params.faces.centerface_model],
        "options": dataclasses.asdict(options),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    from ..inference import sigmoid

    return sigmoid(logits)


def _logit(score: float) -> float:
    """Return the logit of *score*, clipped as in the calibration (`evaluation.metrics.logit`)."""
    from evaluation.metrics import logit

    return float(logit([score])[0])


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _contents(path: Path) -> bytes:
    """Return the bytes of the file *path*; DataError for a folder, a device, a socket or a named pipe."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise DataError("a folder without images or videos")
    if not stat.S_ISREG(mode):
        raise DataError("not a regular file (a device, a socket or a named pipe); copy its data into a file")
    return read_bytes(path)
