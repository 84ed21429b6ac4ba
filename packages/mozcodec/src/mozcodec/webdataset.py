"""Decoding and encoding JPEG in WebDataset pipelines.

>>> dataset = webdataset.WebDataset(shards).decode(mozcodec.webdataset.decoder("torchrgb8"))
>>> writer = webdataset.ShardWriter("out-%04d.tar", encoder={"jpg": mozcodec.webdataset.encoder(quality=77)})

Neither function needs the package webdataset: they return functions in the form that it calls.
"""

from collections.abc import Callable
from typing import Any, Unpack

import numpy as np

from ._decode import DecodeOptions, decode, decode_options
from ._encode import Encoder
from ._options import DEFAULT_QUALITY, EncodeOptions, Quality, choice

__all__ = ["decoder", "encoder"]

_EXTENSIONS = frozenset(("jpg", "jpeg", "jpe", "jfif"))
_SPECS = {
    f"{kind}{mode}{depth}": (kind, mode, depth)
    for kind in ("", "torch")
    for mode in ("l", "rgb", "rgba")
    for depth in ("8", "")
}


def _is_jpeg(key: str) -> bool:
    return key.rsplit(".", 1)[-1].lower() in _EXTENSIONS


def decoder(
    spec: str = "rgb8", *, apply_orientation: bool = False, **options: Unpack[DecodeOptions]
) -> Callable[[str, bytes], Any]:
    """Return a handler of JPEG fields for ``WebDataset.decode``; it returns None for fields of other names.

    *spec* is WebDataset's name of the result: "rgb8" (H, W, 3) uint8, "rgb" the same as float32 in 0..1, "l" for gray
    (H, W), "rgba"; with "torch" before it a tensor, channels first: "torchrgb8" (3, H, W), "torchl8" (H, W). *options*
    are those of :class:`mozcodec.DecodeOptions`, for example ``scale=4`` for half the size; *apply_orientation* is that
    of :func:`mozcodec.decode`.

    Raises ``ValueError`` for an unknown *spec* and for values out of range, ``TypeError`` for unknown options, before
    any sample is read. The handler raises :class:`mozcodec.JpegError` for damaged data; WebDataset turns it into its
    own ``DecodingError``, which ``decode(..., handler=webdataset.warn_and_continue)`` skips.
    """
    kind, mode, depth = choice("spec", spec, _SPECS)
    pixel_format = "gray" if mode == "l" else mode
    decode_options(pixel_format, options)  # a mistake would otherwise be an error of every sample, which may be skipped
    layout = "chw" if kind and mode != "l" else "hwc"

    def handle(key: str, data: bytes) -> Any:
        if not _is_jpeg(key):
            return None
        pixels = decode(data, pixel_format, layout=layout, apply_orientation=apply_orientation, **options)
        if not depth:
            pixels = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
        if not kind:
            return pixels
        import torch

        return torch.from_numpy(pixels)

    return handle


def encoder(
    quality: Quality = DEFAULT_QUALITY, *, layout: str = "hwc", **options: Unpack[EncodeOptions]
) -> Callable[[Any], bytes]:
    """Return an encoder of JPEG fields for ``ShardWriter(encoder={"jpg": ...})``.

    Takes the arguments of :class:`mozcodec.Encoder`. Values that are bytes already are written as they are.
    """
    moz = Encoder(quality, layout=layout, **options)

    def encode(value: Any) -> bytes:
        return bytes(value) if isinstance(value, bytes | bytearray) else moz.encode(value)

    return encode
