"""Pixels to JPEG bytes."""

from typing import Any, Unpack

from numpy.typing import ArrayLike

from ._errors import error_of
from ._mozjpeg import ffi, lib
from ._options import EncodeOptions, Quality, encode_options, integer
from ._pixels import describe


def precision_of(options: EncodeOptions) -> int:
    """Return the bits of a sample that *options* ask for."""
    bits = integer("precision", options.get("precision", 8), 8, 16)
    if bits not in (8, 12, 16):
        raise ValueError(f"precision must be 8, 12 or 16, got {bits}")
    return bits


def take(buffer: Any) -> bytes:
    """Return the bytes of a filled ``mzc_buffer`` and free it."""
    try:
        return bytes(ffi.buffer(buffer.data, buffer.size))
    finally:
        lib.mzc_free(buffer.data)


def encode(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    pixel_format: str | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as JPEG bytes: those that mozjpeg's ``cjpeg -quality`` writes for the same pixels.

    *image* is uint8, (H, W) or (H, W, 1) gray, (H, W, 3) RGB, or (H, W, 4) with a *pixel_format*: "rgb", "bgr",
    "rgba", "bgra", "argb", "abgr" (alpha is ignored), "gray", "ycbcr", "cmyk" or "ycck". Any strides do.

    *quality* is a number 1..100, one number for each quantization table (luma, chroma), or None, which leaves cjpeg's
    switch away and is not the same as 75. *options* are those of :class:`mozcodec.EncodeOptions`.

    Raises ``TypeError`` or ``ValueError`` for pixels or options that are wrong by themselves, and
    :class:`mozcodec.JpegError` with libjpeg's words for what libjpeg refuses.
    """
    settings = encode_options(quality, options)  # type: ignore[arg-type]
    struct, alive = describe(image, pixel_format, precision_of(options))
    out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
    if lib.mzc_encode(struct, settings, ffi.NULL, 0, out, status):
        raise error_of(status)
    del alive
    return take(out)
