"""By which condition of the weights a file's scores are compared: read from its tables, or estimated from its pixels.

Of the conditions that the weights were validated under, the one whose quantization steps are nearest counts, of the
same encoder family if there is one; the steps may differ by a factor of `NEAR`. Otherwise the values of all conditions
together are taken. Frames of videos are what the validation crops themselves were cut from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..card import POOLED, Card
from ..conditions import parse
from .record import Condition

__all__ = ["estimated", "from_tables", "nearest", "of_video", "scale_of_steps"]

NEAR = 2.0
FAMILIES = {"moz": "mozjpeg", "turbo": "libjpeg"}
# tests/detector/test_answer.py measures it
ACCURACY = (
    "of JPEG files of quality 15 to 90 that were saved losslessly, neither resized nor cropped, at least 95 % are "
    "recognised, within 2 of their quality"
)
LEAST = 64  # pixels a side
MOST = 90  # finer traces are found in images without any, too


def scale_of_steps(quality: int) -> float:
    """Return libjpeg's scaling of the quantization tables in percent (jcparam.c), at least 1."""
    return max(1.0, 5000 / quality if quality < 50 else 200 - 2 * quality)


def nearest(family: str, quality: int, known: Iterable[str]) -> str | None:
    """Return the condition of *known* nearest to a JPEG of *family* (``libjpeg``, ``mozjpeg``) and *quality*, or None.

    Only conditions of one JPEG step with an encoder's default settings are compared.
    """
    found = []
    for label in known:
        if label == POOLED:
            continue
        steps = parse(label).steps
        if len(steps) != 1 or steps[0].name not in FAMILIES or steps[0].options:
            continue
        other = int(steps[0].values[0])
        apart = abs(math.log(scale_of_steps(quality) / scale_of_steps(other)))
        if apart <= math.log(NEAR):
            found.append((FAMILIES[steps[0].name] != family, apart, label))
    return min(found)[2] if found else None


def from_tables(data: bytes, card: Card) -> Condition:
    """Return the condition of the JPEG *data* by its own quantization tables."""
    from mozcodec import JpegError, forensics

    try:
        encoder = forensics.identify(data)
        quality = forensics.estimate_quality(data)[0].quality
    except JpegError as error:
        return Condition(POOLED, "none", f"tables that cannot be compared: {error}")
    family = encoder.family if encoder.family in FAMILIES.values() else "libjpeg"
    name = encoder.family if encoder.exact else "tables of no known encoder"
    if encoder.doubtful:
        name = f"tables of {encoder.family}"
    found = f"{name}, {encoder.settings if encoder.settings else f'nearest quality {quality}'}"
    label = nearest(family, quality, card.calibration)
    if label is None:
        return Condition(POOLED, "tables", f"{found}; no condition of the weights is near")
    return Condition(label, "tables", found)


def estimated(image: NDArray[np.uint8], card: Card) -> Condition:
    """Return the condition of an *image*, uint8 RGB, whose file has no quantization tables, by traces of an earlier
    JPEG compression in its pixels."""
    from mozcodec import JpegError, encode, forensics

    nothing = Condition(POOLED, "none", "the pixels show no JPEG compression")
    if min(image.shape[:2]) < LEAST:
        return nothing
    try:
        # quality 100 keeps the pixels: what double_compression finds was there before
        found = forensics.double_compression(encode(image, 100, subsampling="4:4:4", profile="fastest"))
    except JpegError:
        return nothing
    if not found.detected or found.quality > MOST:
        return nothing
    family = "libjpeg" if found.quant_table == 0 else "mozjpeg"
    words = f"{family}, quality {found.quality}"
    label = nearest(family, found.quality, card.calibration)
    if label is None:
        return Condition(POOLED, "pixels", f"{words}; no condition of the weights is near", ACCURACY)
    return Condition(label, "pixels", words, ACCURACY)


def of_video(card: Card) -> Condition:
    """Return the condition of a video: ``raw`` if the validation crops were cut from videos too."""
    compression = (card.crops or {}).get("compression")
    if compression in ("raw", "c23", "c40") and "raw" in card.calibration:
        return Condition("raw", "video", f"frames of a video, as the validation crops are ({compression})")
    return Condition(POOLED, "video", "frames of a video; the validation crops were not cut from videos like it")
