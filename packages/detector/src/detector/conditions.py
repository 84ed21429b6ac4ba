"""Conditions: what happens to a face before it is scored, written as one short string.

A condition is a chain of steps joined by ``>``. A step has a name, values and options:
``turbo:90>resize:0.5>moz:60/4:2:0``. `STEPS` is the table of steps, `OPTIONS` the table of options. ``raw`` leaves the
image unchanged. A bare integer is a ``moz`` step, and ``77`` is the canonical label of the single step ``moz:77``. A
condition names an exact encoder: options that a step leaves out have the encoder's default, not the value in the
``compress`` section of params.yaml.

Every step is a pure function of the pixels. `Condition.make` returns the image at its original size, which is the size
that a model takes: if a chain ends at another size, a final resize with the kernels of the ``resize`` step restores it.
Chains without a ``resize`` step are never resampled.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from evaluation.values import shown

from .errors import ConfigError, DetectorError

if TYPE_CHECKING:  # parameters are parsed without NumPy, OpenCV and mozcodec
    import numpy as np

__all__ = [
    "OPTIONS",
    "RAW",
    "STEPS",
    "SUBSAMPLINGS",
    "TUNES",
    "Condition",
    "Made",
    "Step",
    "canonical",
    "encoders",
    "parse",
    "parse_all",
]

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "gray")
TUNES = ("psnr", "hvs-psnr", "ssim", "ms-ssim")

RAW = "raw"
MAX_STEPS = 8
MAX_CHARACTERS = 400  # the longest canonical label has 8 * 34
MAX_WEBP = 16383  # libwebp's WEBP_MAX_DIMENSION
SIZES = (Decimal("0.05"), Decimal(4))  # of the image after any step, relative to its original size

# group -> word -> keywords of mozcodec's encoders; a step takes at most one word of a group, written in this order
OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "subsampling": {word: {"subsampling": word} for word in SUBSAMPLINGS},
    "tune": {word: {"tune": word} for word in TUNES},
    "baseline": {"baseline": {"progressive": False}},
}

Number: TypeAlias = int | Decimal


class Made(NamedTuple):
    """An image, uint8 RGB (H, W, 3), and the last file it was encoded to, or None if no step encoded it."""

    image: np.ndarray
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Value:
    """A number in a step: its letter in `Kind.form`, its range (inclusive) and its number of decimal places."""

    letter: str
    low: Number
    high: Number
    places: int = 0

    def read(self, text: str) -> Number:
        """Return the number in *text*; ValueError names the range."""
        pattern = r"\d{1,6}" + (rf"(\.\d{{1,{self.places}}})?" if self.places else "")
        if not re.fullmatch(pattern, text, re.ASCII):
            kind = f"a number with at most {self.places} decimal places" if self.places else "a whole number"
            raise ValueError(f"{self.letter} must be {kind}, got {shown(text)}")
        number = Decimal(text) if self.places else int(text)
        if not self.low <= number <= self.high:
            raise ValueError(f"{self.letter} must be {self.low}..{self.high}, got {text}")
        return number


@dataclass(frozen=True, slots=True)
class Kind:
    """An entry of `STEPS`.

    form: how the step is written, without options. help: what it does. values: the numbers after the colon, separated
    by slashes. options: the groups of `OPTIONS` that it takes. run: the step itself, called with the image, the values
    and the keywords of the options; returns a `Made` of any size. encoder: the key of its version in `encoders`.
    """

    form: str
    help: str
    values: tuple[Value, ...]
    options: tuple[str, ...]
    run: Callable[..., Made]
    encoder: str


def _jpeg(image: np.ndarray, quality: int, **options: Any) -> Made:
    import mozcodec

    data: bytes = mozcodec.encode(image, quality, **options)
    return Made(mozcodec.decode(data), data)


def _turbo(image: np.ndarray, quality: int, **options: Any) -> Made:
    return _jpeg(image, quality, profile="fastest", **options)


def _scaled(image: np.ndarray, dct_size: int, quality: int, **options: Any) -> Made:
    import numpy as np

    import mozcodec

    data = mozcodec.encode_scaled(image, quality, dct_size=dct_size, **options)
    # encoder and decoder round up, so the result may have a few rows and columns too many
    back = mozcodec.decode(data, scale=dct_size, idct="true")[: image.shape[0], : image.shape[1]]
    return Made(np.ascontiguousarray(back), data)


def _smartscale(image: np.ndarray, block_size: int, quality: int, **options: Any) -> Made:
    import mozcodec

    data = mozcodec.encode_smartscale(image, quality, block_size=block_size, **options)
    return Made(mozcodec.decode(data), data)


def _webp(image: np.ndarray, quality: int) -> Made:
    import cv2
    import numpy as np

    if not cv2.haveImageWriter(".webp"):
        raise DetectorError("this build of OpenCV does not write WebP; install the package opencv-python")
    if max(image.shape) > MAX_WEBP:
        raise DetectorError(f"a WebP file has at most {MAX_WEBP} pixels a side")
    ok, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not ok:
        raise DetectorError("OpenCV could not write the WebP file")
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return Made(np.ascontiguousarray(back[..., ::-1]), data.tobytes())


def _resize(image: np.ndarray, factor: Decimal) -> Made:
    height, width = (max(1, int(factor * n + Decimal("0.5"))) for n in image.shape[:2])
    return Made(resized(image, height, width), None)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return *image*, uint8 (H, W, 3), at *height* x *width*: area average if no side grows, otherwise bilinear.

    OpenCV's INTER_AREA and INTER_LINEAR_EXACT give the same pixels on every processor; its INTER_CUBIC does not.
    """
    import cv2
    import numpy as np

    if (height, width) == image.shape[:2]:
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, (width, height), interpolation=kernel), np.uint8)


QUALITY = Value("Q", 1, 100)

# name -> step; docs/recipes/condition-step.md says how to add one
STEPS: Mapping[str, Kind] = {
    "moz": Kind(
        "moz:Q", "JPEG by mozjpeg at quality Q", (QUALITY,), ("subsampling", "tune", "baseline"), _jpeg, "mozjpeg"
    ),
    "turbo": Kind(
        "turbo:Q",
        "JPEG as libjpeg-turbo writes it at quality Q (mozcodec's profile fastest)",
        (QUALITY,),
        ("subsampling", "baseline"),
        _turbo,
        "mozjpeg",
    ),
    "resize": Kind(
        "resize:F",
        "F times the width and height: area average when shrinking, bilinear when enlarging",
        (Value("F", *SIZES, places=4),),
        (),
        _resize,
        "opencv",
    ),
    "webp": Kind("webp:Q", "lossy WebP by libwebp at quality Q", (QUALITY,), (), _webp, "libwebp"),
    "scaled": Kind(
        "scaled:N/Q",
        "JPEG at 8/N of the size by DCT scaling at quality Q, brought back by the inverse DCT of N points",
        (Value("N", 1, 16), QUALITY),
        ("subsampling", "tune"),
        _scaled,
        "mozjpeg",
    ),
    "smartscale": Kind(
        "smartscale:N/Q",
        "SmartScale JPEG with blocks of N x N at quality Q",
        (Value("N", 1, 16), QUALITY),
        ("subsampling", "tune"),
        _smartscale,
        "mozjpeg",
    ),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a condition: its name in `STEPS`, its values, and its options in canonical order."""

    name: str
    values: tuple[Number, ...]
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}:{'/'.join([*map(_text, self.values), *self.options])}"

    def run(self, image: np.ndarray) -> Made:
        """Return *image*, uint8 RGB (H, W, 3), after the step; *image* is not modified."""
        keywords: dict[str, Any] = {}
        for words in OPTIONS.values():
            for word in self.options:
                keywords |= words.get(word, {})
        return STEPS[self.name].run(image, *self.values, **keywords)


@dataclass(frozen=True, slots=True)
class Condition:
    """A chain of steps; an empty chain is ``raw``. ``str()`` gives the canonical label, which `parse` reads back."""

    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        match self.steps:
            case ():
                return RAW
            case (Step("moz", (quality,), ()),):
                return _text(quality)
        return ">".join(map(str, self.steps))

    def make(self, image: np.ndarray) -> Made:
        """Return the result of `run` with the image resized to the size of *image*, uint8 RGB (H, W, 3)."""
        made, data = self.run(image)
        return Made(resized(made, *image.shape[:2]), data)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the image of `make`, uint8 RGB (H, W, 3) as *image*."""
        return self.make(image).image

    def run(self, image: np.ndarray) -> Made:
        """Return *image*, uint8 RGB (H, W, 3), after the last step, of any size, and the last file it was encoded to.

        ``raw`` returns *image* itself. If an encoder fails, DetectorError names the condition and the step.
        """
        if image.dtype != "uint8" or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
        made, data = image, None
        for step in self.steps:
            made, encoded = _run_step(step, made, self)
            data = data if encoded is None else encoded
        return Made(made, data)


def _run_step(step: Step, image: np.ndarray, condition: Condition) -> Made:
    import mozcodec

    try:
        return step.run(image)
    except (mozcodec.JpegError, DetectorError) as error:
        height, width = image.shape[:2]
        raise DetectorError(f"condition {condition}: {step} of an image of {width} x {height}: {error}") from error


def parse(label: str | int) -> Condition:
    """Return the condition with this *label*; ConfigError names the label, the step and what is allowed."""
    text = str(label).strip() if isinstance(label, str | int) and not isinstance(label, bool) else ""
    if not text:
        raise ConfigError(f"a condition is text such as raw, 77 or turbo:90>resize:0.5>moz:60, got {shown(label)}")
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"condition {shown(text[:40])}...: at most {MAX_CHARACTERS} characters, got {len(text)}")
    if text == RAW:
        return Condition()
    parts = [part.strip() for part in text.split(">")]
    try:
        if len(parts) > MAX_STEPS:
            raise ValueError(f"at most {MAX_STEPS} steps, got {len(parts)}")
        condition = Condition(tuple(map(_step, parts)))
        _check_sizes(condition)
    except ValueError as error:
        raise ConfigError(f"condition {shown(text)}: {error}") from None
    return condition


def parse_all(labels: Iterable[str | int]) -> list[Condition]:
    """Return the conditions with these *labels*, in order; ConfigError names the label and step that is wrong."""
    return [parse(label) for label in labels]


def canonical(label: str | int) -> str:
    """Return the canonical form of *label*: ``77`` for ``moz:77``, ``resize:0.5`` for ``resize:0.50``."""
    return str(parse(label))


def _step(text: str) -> Step:
    """Return the step in *text*; ValueError says what is wrong and what is allowed."""
    if re.fullmatch(r"\d+", text, re.ASCII):
        text = f"moz:{text}"
    name, _, rest = text.partition(":")
    if not text:
        raise ValueError("a step is empty; steps are joined by a single >")
    if name == RAW:
        raise ValueError("raw is a condition of its own, not a step of a chain")
    kind = STEPS.get(name)
    if kind is None:
        close = difflib.get_close_matches(name, STEPS, 1)
        hint = f"did you mean {close[0]}?" if close else "a bare number is a quality of mozjpeg"
        if re.match(r"\d+/", text, re.ASCII):  # options need the name of the step
            _step(f"moz:{text}")  # raises its own error
            hint = f"did you mean moz:{text}?"
        forms = ", ".join(kind.form for kind in STEPS.values())
        raise ValueError(f"unknown step {shown(name)} in {shown(text)}; {hint} (steps: {forms})")
    words = rest.split("/") if rest else []
    try:
        if len(words) < len(kind.values):
            raise ValueError("a value is missing")
        values = tuple(value.read(word) for value, word in zip(kind.values, words, strict=False))
        return Step(name, values, _options(words[len(kind.values) :], kind))
    except ValueError as error:
        raise ValueError(f"step {shown(text)}: {error}; {_usage(kind)}") from None


def _options(words: Iterable[str], kind: Kind) -> tuple[str, ...]:
    """Return *words* in the order of `OPTIONS`."""
    chosen: dict[str, str] = {}
    for word in words:
        group = next((group for group in kind.options if word in OPTIONS[group]), None)
        if group is None:
            raise ValueError(f"unknown option {shown(word)}")
        if group in chosen:
            raise ValueError(f"{chosen[group]} and {word} are both {group}")
        chosen[group] = word
    return tuple(chosen[group] for group in OPTIONS if group in chosen)


def _usage(kind: Kind) -> str:
    """Return how the step is written, the ranges of its values and its options."""
    ranges = ", ".join(f"{value.letter} {value.low}..{value.high}" for value in kind.values)
    words = " ".join(word for group in kind.options for word in OPTIONS[group])
    return f"write {kind.form} with {ranges}" + (f", then /option: {words}" if words else "")


def _check_sizes(condition: Condition) -> None:
    """Raise ValueError if the product of the resize factors leaves the range of sizes."""
    factor = Decimal(1)
    for step in condition.steps:
        if step.name == "resize":
            factor *= step.values[0]
            if not SIZES[0] <= factor <= SIZES[1]:
                raise ValueError(
                    f"after {step} the image is {_text(factor)} times its original size; "
                    f"{SIZES[0]}..{SIZES[1]} is allowed"
                )


def _text(number: Number) -> str:
    """Return *number* as text without an exponent or trailing zeros."""
    text = f"{number:f}" if isinstance(number, Decimal) else str(number)
    return text.rstrip("0").rstrip(".") if "." in text else text


@cache
def encoders() -> Mapping[str, str]:
    """Return the versions of the encoders, which are recorded with results.

    OpenCV reports only the ABI version of its bundled libwebp; the version of OpenCV determines the rest.
    """
    import cv2

    import mozcodec

    info = mozcodec.build_info()
    webp = re.search(r"WEBP:\s+(.*\S)", cv2.getBuildInformation())
    return {
        "mozcodec": str(info["version"]),
        "mozjpeg": f"{info['mozjpeg_version']}, {info['linking']}",
        "opencv": cv2.__version__,
        "libwebp": f"{webp[1] if webp else 'none'}, in OpenCV {cv2.__version__}",
    }
