"""What callers pass as a JPEG or as an image: paths, open files, tensors, Pillow's images.

Pillow and torch are not imported: their objects are recognised by their attributes.
"""

import io
import os
from collections.abc import Sequence
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._reading import read_source

Buffer = bytes | bytearray | memoryview | mmap | NDArray[np.uint8]

Source = Any
"""What :func:`content_of` takes: a buffer, a path, an open binary file, a uint8 tensor."""
Background = int | Sequence[int] | None

_HOST_DEVICES = (1, 3, 11)  # DLPack: CPU, and memory of the host that CUDA or ROCm has pinned
LAYOUTS = ("hwc", "chw")


# ---- arrays ---------------------------------------------------------------------------------------------------------


def _is_on_a_device(value: Any) -> bool:
    place = getattr(value, "__dlpack_device__", None)
    if place is not None:
        try:
            return int(place()[0]) not in _HOST_DEVICES
        except ValueError:  # torch's meta tensors, which have no memory at all
            return True
    return hasattr(value, "__cuda_array_interface__")


def as_array(value: Any, what: str = "pixels") -> NDArray[Any]:
    """Return an array-like, tensor or DLPack object as an array, without a copy where there need not be one."""
    if isinstance(value, np.ndarray):
        return value
    if value is None:
        raise TypeError(f"{what} must be an array, got None")
    if _is_on_a_device(value):
        raise TypeError(f"{what} must be in the memory of the CPU, this {type(value).__name__} is not: use .cpu()")
    if getattr(value, "requires_grad", False):
        value = value.detach()
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        raise TypeError(f"{what} must be uint8, got torch.bfloat16; of 0..1: (image * 255).round().to(torch.uint8)")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (ValueError, BufferError) as error:  # rows of several lengths, a tensor that cannot be exported
        raise ValueError(f"{what} must be an array, got {type(value).__name__}: {error}") from None


def type_hint(dtype: np.dtype[Any]) -> str:
    """Return what turns pixels of this type into uint8, as the end of a sentence."""
    if dtype.kind == "f":
        return "; of 0..1: (image * 255).round().astype('uint8')"
    if dtype.kind == "b":
        return "; image * np.uint8(255)"
    return "; nested lists and default integers: np.asarray(image, 'uint8')" if dtype.kind in "iu" else ""


# ---- JPEG data ------------------------------------------------------------------------------------------------------


def content_of(data: Any) -> Any:
    """Return the bytes that *data* names: a path, an open binary file, a uint8 tensor, or the buffer itself."""
    if isinstance(data, np.ndarray) and data.dtype.itemsize != 1:  # else its memory would be read as a file
        raise TypeError(f"a JPEG as an array is uint8, got {data.dtype} {data.shape}; pixels are encoded, not decoded")
    if isinstance(data, bytes | bytearray | memoryview | mmap | np.ndarray):
        return data
    if isinstance(data, str | os.PathLike):
        path = os.fsdecode(data)
        if "\0" in path:
            raise ValueError(f"a path has no null character, got {path[:40]!r}: JPEG data is passed as bytes")
        return read_source(Path(path))
    if hasattr(data, "read"):
        return _content_of_file(data)
    if hasattr(data, "__dlpack__") or hasattr(data, "__cuda_array_interface__"):
        array = as_array(data, "a JPEG")
        if array.dtype != np.uint8 or array.ndim != 1:
            raise TypeError(f"a JPEG as a tensor is uint8 of one dimension, got {array.dtype} {array.shape}")
        return np.ascontiguousarray(array)
    return data


WANTED = "a JPEG is bytes or a contiguous buffer of them, a path or an open file"


def view_of(data: Any) -> memoryview:
    """Return the bytes that *data* names as a view of one dimension; TypeError where they are no buffer."""
    content = content_of(data)
    try:
        return memoryview(content).cast("B")
    except (TypeError, BufferError, ValueError) as error:
        raise TypeError(f"{WANTED}, got {type(content).__name__}: {error}") from None


def _content_of_file(file: Any) -> Any:
    pieces = [file.read()]
    if isinstance(pieces[0], str):
        raise TypeError("the file is open as text: open it with mode 'rb'")
    while pieces[-1] and isinstance(file, io.IOBase):  # a non-blocking one returns what there is
        pieces.append(file.read())
    if pieces[-1] is None:
        raise BlockingIOError("the file is non-blocking and has no data yet: os.set_blocking(file.fileno(), True)")
    return pieces[0] if len(pieces) <= 2 else b"".join(pieces)


def target_of(out: Any) -> Any:
    """Return the array that shares the memory of *out*, an array or a tensor."""
    if out is None or isinstance(out, np.ndarray | bytearray | memoryview):
        return out
    if not (hasattr(out, "__dlpack__") or hasattr(out, "__cuda_array_interface__")):
        return out
    array = as_array(out, "out")
    if not array.flags.writeable:
        raise ValueError("out must be writable")
    return array


# ---- images ---------------------------------------------------------------------------------------------------------


def is_pillow(image: Any) -> bool:
    """Return whether *image* is one of Pillow's images."""
    return hasattr(image, "getbands") and hasattr(image, "convert") and isinstance(getattr(image, "mode", None), str)


_PILLOW_FORMATS = {"L": "gray", "RGB": "rgb", "RGBX": "rgbx", "CMYK": "cmyk", "YCbCr": "ycbcr", "RGBA": "rgba"}
_PILLOW_CONVERSIONS = {"1": "L", "P": "RGB", "HSV": "RGB", "PA": "RGBA", "LA": "RGBA", "La": "RGBA", "RGBa": "RGBA"}
_PILLOW_REFUSALS = {
    "LAB": "convert it with ImageCms, which uses its white point",
    "F": "scale it to 8 bits, or pass np.asarray(image) with distance=",
}
_DEEP = "scale it to 8 bits, or pass np.asarray(image).astype('uint16') with precision=16 and lossless=1"


def _from_pillow(image: Any) -> tuple[NDArray[np.uint8], str]:
    """Return the samples and the pixel format of Pillow's image; with alpha, "rgba"."""
    mode = image.mode
    if mode not in _PILLOW_FORMATS and mode not in _PILLOW_CONVERSIONS:
        way = _DEEP if mode.startswith("I") else _PILLOW_REFUSALS.get(mode, "convert it to mode RGB")
        raise TypeError(f"an image of mode {mode} is not encoded: {way}")
    if mode in ("1", "L", "P", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
    elif mode == "La":  # Pillow has no other conversion of it
        image = image.convert("LA").convert("RGBA")
    elif mode in _PILLOW_CONVERSIONS:
        image = image.convert(_PILLOW_CONVERSIONS[mode])
    pixels = np.asarray(image)
    if image.mode == "CMYK":  # as Adobe stores them, and Pillow writes them
        pixels = 255 - pixels
    return pixels, _PILLOW_FORMATS[image.mode]


def _background(value: object) -> tuple[int, ...]:
    levels = (value,) * 3 if isinstance(value, int | np.integer) and not isinstance(value, bool) else value
    if (
        not isinstance(levels, Sequence)
        or len(levels) != 3
        or not all(isinstance(v, int | np.integer) and 0 <= v <= 255 for v in levels)
    ):
        raise ValueError(f"background must be a level 0..255 or (red, green, blue) of them, got {value!r}")
    return tuple(int(level) for level in levels)


_ALPHA = ("rgba", "bgra", "argb", "abgr")


def composed(pixels: NDArray[np.uint8], pixel_format: str, background: object) -> NDArray[np.uint8]:
    """Return RGB pixels with *background* where alpha lets it through, rounded as Pillow's ``paste`` does."""
    colours = pixels[..., [pixel_format.index(c) for c in "rgb"]].astype(np.uint16)
    alpha = pixels[..., pixel_format.index("a"), None].astype(np.uint16)
    mixed = colours * alpha + np.array(_background(background), np.uint16) * (255 - alpha) + 128
    rounded: NDArray[np.uint8] = ((mixed + (mixed >> 8)) >> 8).astype(np.uint8)
    return rounded


def check_layout(layout: object) -> None:
    """Raise ValueError if *layout* is neither "hwc" nor "chw"."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be 'hwc' or 'chw', got {layout!r}")


def picture_of(
    image: Any, pixel_format: str | None, layout: str = "hwc", background: object = None
) -> tuple[Any, str | None]:
    """Return *image* as an array with its channels last, and its pixel format; planes stay as they are."""
    check_layout(layout)
    if pixel_format == "planes":
        if layout != "hwc" or background is not None:
            raise ValueError("planes have no layout and no background")
        return image, pixel_format
    if is_pillow(image):
        if layout != "hwc":
            raise ValueError("layout is for arrays, Pillow's images have none")
        pixels, found = _from_pillow(image)
        if pixel_format not in (None, found):
            raise ValueError(f"pixel_format is for arrays: an image of mode {image.mode} is {found!r}")
        if found == "rgba" and background is None:
            what = f"an image of mode {image.mode} has alpha, which JPEG does not support"
            raise ValueError(f"{what}: background=(255, 255, 255), or image.convert('RGB') to ignore it")
        return (composed(pixels, found, background), "rgb") if found == "rgba" else (pixels, found)
    array = as_array(image)
    if layout == "chw":
        if array.ndim != 3:
            raise ValueError(f"layout='chw' needs an array (channels, H, W), got shape {array.shape}")
        array = array.transpose(1, 2, 0)
    if background is None or pixel_format not in _ALPHA:
        if background is not None:
            raise ValueError(f"background needs alpha: pixel_format {', '.join(_ALPHA)}, got {pixel_format!r}")
        return array, pixel_format
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 4:
        raise ValueError(f"background needs uint8 pixels with alpha, (H, W, 4); got {array.dtype} {array.shape}")
    return composed(array, pixel_format, background), "rgb"


def channels_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return a view of decoded pixels, (H, W) or (H, W, C), as (C, H, W)."""
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
