"""From decoded video frames to the pixels that a player shows: orientation, pixel shape, colours.

Colours: libswscale converts to RGB by the matrix and the range that the stream states; a stream that states none counts
as BT.601 with limited range, as in FFmpeg. Non-square pixels are made square by enlarging one side, linearly. The
display matrix, by which phones store the orientation, is applied where it turns by right angles or mirrors.
"""

from __future__ import annotations

import typing
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type

from ..errors import DataError

__all__ = ["INTERLACED", "shown"]

INTERLACED = "interlaced: a frame mixes two moments (fields are not separated)"
# values of AVColorTransferCharacteristic
HDR = {16: "PQ, SMPTE ST 2084", 18: "HLG, ARIB STD-B67"}
TO_SDR = "zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p"
# values of the matrix are fixed-point numbers with 16 fractional bits
ONE = 1 << 16


def shown(frame: av.VideoFrame, pixel_ratio: Fraction | None = None) -> np.ndarray:
    """Return *frame* as it is shown, uint8 RGB (H, W, 3); *pixel_ratio* is the width of its pixels over their height.

    Raises `DataError` for HDR video, whose values must be tone-mapped first, and for a display matrix that turns by
    other than right angles.
    """
    if frame.color_trc in HDR:
        raise DataError(
            f"HDR video ({HDR[frame.color_trc]}): its pixel values are not those of SDR video; convert it first, "
            f"e.g. with ffmpeg -i IN -vf {TO_SDR} OUT"
        )
    image = np.asarray(frame.to_ndarray(format="rgb24"))
    return oriented(square_pixels(image, pixel_ratio), display_matrix(frame))


def square_pixels(image: np.ndarray, ratio: Fraction | None) -> np.ndarray:
    """Return *image* with square pixels: wider if its pixels are wide, higher if they are high."""
    if not ratio or ratio == 1:  # 0 is unknown
        return image
    height, width = image.shape[:2]
    size = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
    if max(size) > 8 * max(width, height):
        raise DataError(f"the pixels' aspect ratio is {ratio}; correct it, e.g. with ffmpeg -i IN -vf setsar=1 OUT")
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR_EXACT)


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return a, b, c, d of the display matrix: x' = a x + c y, y' = b x + d y with y downwards; identity if none."""
    data = typing.cast(Any, frame.side_data).get(Type.DISPLAYMATRIX)
    if data is None:
        return ONE, 0, 0, ONE
    values = np.frombuffer(bytes(data), np.dtype(np.int32)).tolist()
    return values[0], values[1], values[3], values[4]


def oriented(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Return *image* (H, W, 3) turned and mirrored by *matrix*."""
    a, b, c, d = matrix
    straight, transposed = bool(a and d) and not (b or c), bool(b and c) and not (a or d)
    if not (straight or transposed):
        raise DataError(
            f"the display matrix {a / ONE:.3g} {b / ONE:.3g} {c / ONE:.3g} {d / ONE:.3g} does not turn by a right "
            "angle; turn the video's frames upright first, e.g. with ffmpeg -i IN OUT"
        )
    if transposed:
        image = image.transpose(1, 0, 2)
    mirrored, upended = (a < 0, d < 0) if straight else (c < 0, b < 0)
    return np.ascontiguousarray(image[:: -1 if upended else 1, :: -1 if mirrored else 1])
