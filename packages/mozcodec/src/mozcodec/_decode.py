"""Decode JPEG to pixels."""
# Over 600 lines: a third are the signatures and docstrings of decode(), one for each kind of result.

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from ._abbreviated import completed, with_tables
from ._containers import pictures
from ._damage import named, note_damage, salvage
from ._engine import CPU, note_engine
from ._errors import Damage, DamagedError, JpegError, LimitError, error_of
from ._inputs import WANTED, Buffer, Source, channels_first, check_layout, content_of, target_of
from ._metadata import Metadata, orientation_of, read_metadata
from ._mozjpeg import ffi, lib
from ._options import (
    COLOR_SPACES,
    DCT_NAMES,
    ENGINES,
    MAX_DIMENSION,
    PIXEL_FORMATS,
    SUBSAMPLING,
    choice,
    flag,
    integer,
)
from ._parallel import num_threads, ordered_map
from ._pixels import address_of, with_packed_pixels
from ._work import MAX_MARKER_BYTES, check_marker_bytes, check_max_work, check_work, may_exceed

MAX_PIXELS = 1 << 27
"""Default limit of pixels: 134 million, twice the largest common camera images."""
MAX_MEMORY = 1 << 30
"""Default limit of libjpeg's working arrays in bytes; a progressive image of MAX_PIXELS in 4:4:4 fits."""
MAX_SCANS = 100
"""Default limit of scans; encoders write a dozen at most."""

_ON_TRUNCATED = {"error": 0, "warn": 1, "ok": 1}
_IDCTS = {"fast": 0, "true": 1}
_COLOR_SPACE_NAMES = {code: name for name, code in COLOR_SPACES.items()}
_FACTORS_TO_SUBSAMPLING = {factors: name for name, factors in SUBSAMPLING.items()}


class DecodeOptions(TypedDict, total=False):
    """The options of :func:`mozcodec.decode`."""

    scale: int
    """The output is scale/8 of the image, 1..16; ceil(W * scale / 8) wide. At 1 the scans of a progressive file that
    do not change the result are skipped, and damage in them is not found. For a SmartScale stream with blocks of N the
    output is k/N of the image, k = ceil(N * scale / 8) at most 16."""
    region: tuple[int, int, int, int] | None
    """Only this part of the output: (left, top, right, bottom). The pixels equal those of the whole output."""
    dct_method: Literal["islow", "ifast", "float"]
    """Inverse DCT of full-size output (djpeg -dct)."""
    fancy_upsampling: bool
    """Interpolate chroma; default True (False: djpeg -nosmooth, faster)."""
    block_smoothing: bool
    """Smooth between blocks where a progressive file lacks coefficients; default True."""
    idct: Literal["fast", "true"]
    """"true": real 2- and 4-point transforms at scale 2 and 4, where libjpeg averages boxes of pixels."""
    smartscale: bool
    """Read a sequential file as SmartScale where its scan header names a block size, as libjpeg 8 and later do. Every
    other decoder takes it for ordinary JPEG, and so does mozcodec by default, but for files that it wrote itself."""
    on_truncated: Literal["error", "warn", "ok"]
    """What to do with a stream that is cut off or corrupt. "error" (default): raise DamagedError. "warn" and "ok":
    return what can be decoded, with a JpegWarning or without. A stream that is whole but for bytes between its
    segments, bytes after its end or a missing EOI is decoded in any case, with a JpegWarning unless "ok"."""
    max_pixels: int | None
    """Limit of pixels of the image and of the output; None = none."""
    max_memory: int | None
    """Limit of libjpeg's working arrays in bytes; None = none."""
    max_scans: int | None
    """Limit of scans; None = none."""
    max_marker_bytes: int | None
    """Limit of the bytes of the file's marker segments, 268 million by default; None = none."""
    max_work: int | Literal["auto"] | None
    """Limit of pixels x scans, a scan counted for the share of its components; None = none. "auto" (default): 268
    million + 16 a pixel + 1000 a byte of the file, which only malicious files exceed."""
    engine: Literal["auto", "library", "fast"]
    """What reads the coded data. "auto" (default): mozcodec's reader if the stream is a common one (Huffman, 8 bits)
    and undamaged, otherwise the library; the pixels are the same. "library" and "fast" force one; "fast" raises
    UnsupportedError for streams that it does not support. See :func:`mozcodec.engine_used`."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a JPEG."""

    width: int
    height: int
    block_size: int
    """8; in a SmartScale stream 1..16."""
    num_components: int
    color_space: str | None
    """Of the stream: "gray", "ycbcr", "rgb", "cmyk", "ycck", or None where libjpeg does not know it."""
    precision: int
    """Bits of a sample."""
    subsampling: str
    """"gray", "4:4:4", "4:2:0" ..., or factors such as "2x2,1x2,1x1" where no such name fits."""
    sampling_factors: tuple[tuple[int, int], ...]
    """Of each component: (h, v)."""
    progressive: bool
    arithmetic: bool
    lossless: bool
    restart_interval: int
    """In MCUs; 0 = none."""
    jfif_version: tuple[int, int] | None
    density: tuple[int, int, str] | None
    """(x, y, "none" | "inch" | "cm") of the JFIF marker."""
    adobe_transform: int | None
    metadata: Metadata

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as of a NumPy array."""
        return self.height, self.width

    @property
    def orientation(self) -> int:
        """EXIF orientation 1..8; 1 (upright) if the file has none."""
        return orientation_of(self.metadata.exif)


def subsampling_name(factors: tuple[tuple[int, int], ...]) -> str:
    """Return the J:a:b name of sampling factors where there is one, else cjpeg's notation."""
    if len(factors) == 1:
        return "gray"
    if len(set(factors)) == 1:
        return "4:4:4"
    if len(factors) >= 3 and all(f == (1, 1) for f in factors[1:3]) and factors[3:] in ((), (factors[0],)):
        name = _FACTORS_TO_SUBSAMPLING.get(factors[0])
        if name is not None:
            return name
    return ",".join(f"{h}x{v}" for h, v in factors)


def header_of(decoder: "Decoder") -> Header:
    """Return the header of an open stream."""
    struct = decoder.header
    factors = tuple((struct.h_samp_factor[i], struct.v_samp_factor[i]) for i in range(min(struct.num_components, 4)))
    unit = {0: "none", 1: "inch", 2: "cm"}.get(struct.density_unit, "none")
    return Header(
        width=struct.width,
        height=struct.height,
        block_size=struct.block_size,
        num_components=struct.num_components,
        color_space=_COLOR_SPACE_NAMES.get(struct.color_space),
        precision=struct.precision,
        subsampling=subsampling_name(factors),
        sampling_factors=factors,
        progressive=bool(struct.progressive),
        arithmetic=bool(struct.arithmetic),
        lossless=bool(struct.lossless),
        restart_interval=struct.restart_interval,
        jfif_version=(struct.jfif_major, struct.jfif_minor) if struct.jfif else None,
        density=(struct.x_density, struct.y_density, unit) if struct.jfif else None,
        adobe_transform=struct.adobe_transform if struct.adobe else None,
        metadata=read_metadata(ffi.buffer(decoder.source)),
    )


def source_of(data: Source) -> Any:
    """Return *data* as ``unsigned char[]`` for C, without a copy; of a path or an open file, its content."""
    if isinstance(data, ffi.CData):
        return data
    data = content_of(data)
    try:
        if isinstance(data, memoryview):
            # CPython 3.11 crashes collecting a memoryview in a cycle (a kept traceback) that C still has a hold on
            data = np.frombuffer(data, np.uint8)
        return ffi.from_buffer("unsigned char[]", data)
    except (TypeError, BufferError, ValueError) as error:
        raise TypeError(f"{WANTED}, got {type(data).__name__}: {error}") from None


# ---- options --------------------------------------------------------------------------------------------------------


def limit(name: str, value: object, largest: int = 2**62) -> int:
    """Return a limit, *value* or None, for C: 0 is none."""
    return 0 if value is None else min(integer(name, value, 1, 2**62), largest)


def rectangle(name: str, value: object, largest: int) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom), checked."""
    parts = list(value) if isinstance(value, Iterable) else []
    if len(parts) != 4:
        raise TypeError(f"{name} must be (left, top, right, bottom) in pixels, got {value!r}")
    left, top, right, bottom = (integer(name, part, 0, largest) for part in parts)
    if not (left < right and top < bottom):
        raise ValueError(f"{name} must have left < right and top < bottom, got {(left, top, right, bottom)}")
    return left, top, right, bottom


def _set_region(options: Any, value: object) -> None:
    if value is not None:
        options.left, options.top, options.right, options.bottom = rectangle("region", value, MAX_DIMENSION * 2)


def _set(options: Any, name: str, value: object) -> None:
    match name:
        case "scale":
            options.scale = integer("scale", value, 1, 16)
        case "region":
            _set_region(options, value)
        case "dct_method":
            options.dct_method = choice(name, value, DCT_NAMES)
        case "fancy_upsampling" | "block_smoothing" | "smartscale":
            setattr(options, name, flag(name, value))
        case "idct":
            options.true_idct = choice(name, value, _IDCTS)
        case "on_truncated":
            options.tolerate_damage = choice(name, value, _ON_TRUNCATED)
        case "max_pixels" | "max_memory":
            setattr(options, name, limit(name, value))
        case "engine":
            options.engine = choice(name, value, ENGINES)
        case "max_work":
            check_max_work(value)  # held by check_work
        case "max_marker_bytes":
            limit(name, value)  # held by check_work
        case "max_scans":
            options.max_scans = limit(name, value, 2**31 - 1)
        case _:
            raise TypeError(f"unknown option {name!r}; known: {', '.join(sorted(DecodeOptions.__annotations__))}")


@lru_cache(maxsize=256)
def _cached(pixel_format: str | None, named: tuple[tuple[str, object, type], ...]) -> Any:
    options = ffi.new("mzc_decode_options *")
    lib.mzc_default_decode_options(options)
    options.cpu = CPU
    if pixel_format == "planes":
        options.pixel_format = lib.MZC_PLANES
    elif pixel_format is not None:
        options.pixel_format = choice("pixel_format", pixel_format, PIXEL_FORMATS)[0]
    options.max_pixels, options.max_memory, options.max_scans = MAX_PIXELS, MAX_MEMORY, MAX_SCANS
    for name, value, _ in named:
        _set(options, name, value)
    if pixel_format == "planes" and (options.scale != 8 or options.right):
        raise ValueError("pixel_format='planes' returns the planes as stored, without scale and region")
    return options


def decode_options(pixel_format: str | None, options: Mapping[str, object]) -> Any:
    """Return the C form of the options, after checking names, types and ranges."""
    region = options.get("region")
    if region is not None and not isinstance(region, tuple) and isinstance(region, Iterable):
        options = {**options, "region": tuple(region)}
    named = tuple((name, value, type(value)) for name, value in options.items())
    try:
        return _cached(pixel_format, named)
    except TypeError as error:
        if "unhashable" in str(error):
            raise TypeError(f"an option has a value of a wrong type: {dict(options)!r}") from None
        raise


# ---- one image ----------------------------------------------------------------------------------------------------


class Decoder:
    """An open ``mzc_decoder``; closes with the ``with`` block."""

    def __init__(self, data: Buffer, options: Any) -> None:
        self.source = source_of(data)
        self.header = ffi.new("mzc_header *")
        self.status = ffi.new("mzc_status *")
        self._open(options)
        if self.handle == ffi.NULL:
            error = named(error_of(self.status), self.source)
            whole = completed(memoryview(ffi.buffer(self.source))) if isinstance(error, DamagedError) else None
            if whole is None:
                raise error
            self.source = source_of(whole)
            self._open(options)
            if self.handle == ffi.NULL:
                raise error_of(self.status)

    def _open(self, options: Any) -> None:
        self.handle = lib.mzc_decoder_open(self.source, len(self.source), options, self.header, self.status)

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        lib.mzc_decoder_close(self.handle)

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        return np.uint8 if self.header.precision <= 8 else np.uint16

    @property
    def shape(self) -> tuple[int, ...]:
        header = self.header
        size = header.output_height, header.output_width
        return size if header.output_channels == 1 else (*size, header.output_channels)

    def check_work(self, max_work: Any, max_marker_bytes: int | None = MAX_MARKER_BYTES) -> None:
        """Raise :class:`LimitError` if decoding exceeds a budget."""
        check_marker_bytes(ffi.buffer(self.source), max_marker_bytes)
        pixels = self.header.width * self.header.height
        if max_work != "auto" or pixels > 500_000:  # for small images the check costs more than it saves
            check_work(ffi.buffer(self.source), max_work, pixels)

    def read(self, array: NDArray[Any]) -> None:
        """Fill *array*, (H, W, C) or (H, W), with the pixels. Raise the exception of a status that is not zero."""
        if lib.mzc_decoder_read(self.handle, address_of(array), array.strides[0], self.status):
            raise error_of(self.status)
        note_engine(self.status)

    def read_planes(self) -> tuple[NDArray[Any], ...]:
        """Return the components as they are stored, (H, W) each. ValueError for lossless or more than four."""
        header = self.header
        if header.num_components > 4 or header.lossless:
            raise ValueError("pixel_format='planes' is for lossy files of at most four components")
        shapes = [(header.plane_height[i], header.plane_width[i]) for i in range(header.num_components)]
        planes = tuple(np.empty(shape, self.dtype) for shape in shapes)
        pointers = ffi.new("void *[]", [ffi.cast("void *", address_of(plane)) for plane in planes])
        strides = ffi.new("ptrdiff_t[]", [plane.strides[0] for plane in planes])
        if lib.mzc_decoder_read_planes(self.handle, pointers, strides, self.status):
            raise error_of(self.status)
        note_engine(self.status)
        return planes

    def warn(self, harder: Damage | None, on_truncated: object, stacklevel: int) -> None:
        """Report damage that the decoder found, as *on_truncated* asks: an error, a warning or nothing."""
        note_damage(self.status, harder, on_truncated, stacklevel + 1)


def _check_out_values(out: NDArray[Any], shape: tuple[int, ...], dtype: Any) -> None:
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        kind = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out must be an array of {np.dtype(dtype)}, got {kind}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writable")
    extent = out.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(out.strides, out.shape, strict=True)):
        if size > 1 and stride < extent:
            what = f"the samples of out overlap, as those of an expanded tensor do: strides {out.strides}"
            raise ValueError(f"{what}; use a copy")
        extent += stride * (size - 1)


def _check_out(out: NDArray[Any], shape: tuple[int, ...], dtype: Any) -> None:
    _check_out_values(out, shape, dtype)
    if with_packed_pixels(out) is not out:
        raise ValueError(f"the samples of a row of out must be contiguous, got strides {out.strides}")


def oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of *pixels* turned upright; *orientation* is EXIF's, 1..8."""
    if orientation >= 5:  # 5..8 are stored with rows and columns exchanged
        pixels = pixels.swapaxes(0, 1)
    flip_rows = orientation in (3, 4, 7, 8)
    flip_columns = orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _decode_upright(decoder: Decoder, out: NDArray[Any] | None) -> NDArray[Any]:
    pixels = np.empty(decoder.shape, decoder.dtype)
    orientation = orientation_of(read_metadata(ffi.buffer(decoder.source)).exif)
    view = oriented(pixels, orientation)
    if out is not None:
        _check_out(out, view.shape, decoder.dtype)
    decoder.read(pixels)
    if out is None:
        return np.ascontiguousarray(view)
    out[...] = view
    return out


def _picture(data: Buffer, number: int) -> bytes:
    found = pictures(ffi.buffer(source_of(data)))
    if number >= len(found):
        raise ValueError(f"picture must be 0..{len(found) - 1}: the file holds {len(found)}, got {number}")
    return found[number]


@overload
def decode(
    data: Source,
    pixel_format: Literal["planes"],
    *,
    out: None = None,
    layout: str = "hwc",
    apply_orientation: bool = False,
    tables: Source | None = None,
    picture: int = 0,
    **options: Unpack[DecodeOptions],
) -> tuple[NDArray[Any], ...]: ...
@overload
def decode(
    data: Source,
    pixel_format: str | None = "rgb",
    *,
    out: Any = None,
    layout: str = "hwc",
    apply_orientation: bool = False,
    tables: Source | None = None,
    picture: int = 0,
    **options: Unpack[DecodeOptions],
) -> NDArray[Any]: ...


def decode(
    data: Source,
    pixel_format: str | None = "rgb",
    *,
    out: Any = None,
    layout: str = "hwc",
    apply_orientation: bool = False,
    tables: Source | None = None,
    picture: int = 0,
    **options: Unpack[DecodeOptions],
) -> NDArray[Any] | tuple[NDArray[Any], ...]:
    """Return the pixels of a JPEG, those that djpeg writes: (H, W, 3), or (H, W) for ``pixel_format="gray"``.

    uint8; uint16 for files of more than 8 bits (12, or 9 to 16 of a lossless file). *pixel_format*: "rgb", "bgr",
    "rgba", "bgra", "argb", "abgr" (alpha is set to its maximum), "gray", "ycbcr", "cmyk" (as stored: Adobe's are
    inverted), None for the file's own (gray, RGB, CMYK, or two components without a colour space), or "planes": a tuple
    of the file's components, 2-D, chroma not upsampled.

    *data* is a buffer of bytes, a path, an open binary file (read from its position), or a uint8 tensor.

    *out* is an array or a tensor in the CPU's memory to write into, and becomes the result; its rows may have any
    stride. ``layout="chw"`` puts the channels first: (C, H, W), (1, H, W) for gray. *apply_orientation* turns the
    result upright by its EXIF orientation; a region refers to the image as stored. *tables* is the stream of tables
    that an abbreviated stream needs (TIFF's JPEGTables). *picture* is the number of the image in a file of several,
    such as an Ultra HDR file with its gain map; see :func:`mozcodec.pictures`. *options* are those of
    :class:`mozcodec.DecodeOptions`; the limits on pixels, memory and scans have defaults (134 million, 1 GiB, 100).

    A stream that is cut off or corrupt raises :class:`mozcodec.DamagedError`; ``on_truncated="warn"`` or ``"ok"``
    returns what can be decoded, with or without a :class:`mozcodec.JpegWarning`. Both carry a :class:`mozcodec.Damage`
    with the place; :func:`mozcodec.damage_found` returns it, too. Data of another format raises
    :class:`mozcodec.NotJpegError`.
    """
    if not isinstance(data, bytes):
        data = content_of(data)
    if layout != "hwc":
        return _decode_channels_first(
            data, pixel_format, layout, out, apply_orientation=apply_orientation, tables=tables, picture=picture,
            **options,
        )
    settings = decode_options(pixel_format, options)
    result_out, out = out, target_of(out)
    if picture:
        data = _picture(data, integer("picture", picture, 0, 2**31))
    if tables is not None:
        data = with_tables(ffi.buffer(source_of(data)), ffi.buffer(source_of(tables)))
    if pixel_format == "planes" and (out is not None or apply_orientation):
        raise ValueError("pixel_format='planes' returns new planes, without out and apply_orientation")

    # quoted: evaluated at every call, this annotation would take a third of the time of decoding a small image
    def attempt(stream: Buffer) -> "tuple[Decoder, NDArray[Any] | tuple[NDArray[Any], ...]]":
        with Decoder(stream, settings) as decoder:
            decoder.check_work(options.get("max_work", "auto"), options.get("max_marker_bytes", MAX_MARKER_BYTES))
            if pixel_format == "planes":
                return decoder, decoder.read_planes()
            if apply_orientation:
                return decoder, _decode_upright(decoder, out)
            if out is None:
                pixels = np.empty(decoder.shape, decoder.dtype)
            else:
                _check_out(out, decoder.shape, decoder.dtype)
                pixels = out
            decoder.read(pixels)
            return decoder, pixels

    on_truncated = options.get("on_truncated", "error")
    harder = None
    if on_truncated == "error":
        decoder, result = attempt(data)
    else:
        (decoder, result), harder = salvage(source_of(data), attempt)
    decoder.warn(harder, on_truncated, stacklevel=2)
    return result if result_out is None else result_out


def _decode_channels_first(
    data: Buffer, pixel_format: str | None, layout: str, out: Any, **more: Any
) -> NDArray[Any]:
    check_layout(layout)
    if pixel_format == "planes":
        raise ValueError("planes have no layout")
    pixels = channels_first(decode(data, pixel_format, **more))
    if out is None:
        return np.ascontiguousarray(pixels)
    _check_out_values(target_of(out), pixels.shape, pixels.dtype)
    target_of(out)[...] = pixels
    return out  # type: ignore[no-any-return]


def read_header(data: Source, *, smartscale: bool = False) -> Header:
    """Return the header of a JPEG, without decoding it; the limits on pixels do not apply.

    *smartscale* as in :class:`mozcodec.DecodeOptions`.
    """
    with Decoder(data, decode_options(None, {"max_pixels": None, "smartscale": smartscale})) as decoder:
        return header_of(decoder)


# ---- many images --------------------------------------------------------------------------------------------------


def _sources(files: Sequence[Source], tables: Source | None) -> list[Any]:
    sources = []
    before = None if tables is None else content_of(tables)
    for number, data in enumerate(files):
        try:
            sources.append(source_of(data if before is None else with_tables(content_of(data), before)))
        except TypeError as error:
            raise TypeError(f"file {number}: {error}") from None
    return sources


def _fill_jobs(jobs: Any, sources: list[Any], out: NDArray[Any]) -> None:
    address, stride = out.__array_interface__["data"][0], out.strides[0]
    for i, source in enumerate(sources):
        job = jobs[i]
        job.data, job.size = source, len(source)
        job.pixels = ffi.cast("void *", address + i * stride)


def _new_batch(files: Sequence[Any], options: Any) -> NDArray[Any]:
    if len(files) == 0:
        raise ValueError("decode_batch needs out if there are no files: the size is not known")
    try:
        first = Decoder(files[0], options)
    except JpegError as error:
        raise _numbered(0, error) from None
    with first:
        return np.empty((len(files), *first.shape), first.dtype)


def _check_batch_work(sources: list[Any], out: NDArray[Any], options: DecodeOptions) -> None:
    max_work = check_max_work(options.get("max_work", "auto"))
    scale = options.get("scale", 8)
    pixels = None if options.get("region") is not None else out.shape[1] * out.shape[2] * 64 // scale**2
    for number, source in enumerate(sources):
        try:
            check_marker_bytes(ffi.buffer(source), options.get("max_marker_bytes", MAX_MARKER_BYTES))
            if pixels is None or may_exceed(pixels, len(source), max_work):
                check_work(ffi.buffer(source), max_work)
        except LimitError as error:
            raise _numbered(number, error) from None


def _run_batch(batch: Any, alive: object) -> None:  # noqa: ARG001 - held while C works
    lib.mzc_decode_batch_run(batch)


def decode_batch(
    files: Iterable[Source],
    pixel_format: str | None = "rgb",
    *,
    out: Any = None,
    layout: str = "hwc",
    threads: int | None = None,
    tables: Source | None = None,
    **options: Unpack[DecodeOptions],
) -> NDArray[Any]:
    """Decode JPEGs of one size in several threads: (N, H, W, 3), or (N, H, W) for gray.

    uint8; uint16 for files of more than 8 bits. *out* is the array to write into; without it the first file determines
    the size and the type. *threads* defaults to the cores that this process may use, the calling thread included; the
    GIL is not held. *tables* and *options* as in :func:`mozcodec.decode`.

    Raises the error of the first file that fails, with its number; the others are decoded. A file of another size
    raises :class:`mozcodec.UnsupportedError`.
    """
    if layout != "hwc":
        return _batch_channels_first(files, pixel_format, layout, out, threads, {**options, "tables": tables})
    settings = decode_options(pixel_format, options)
    if pixel_format == "planes":
        raise ValueError("decode_batch does not support pixel_format='planes'")
    if isinstance(files, bytes | bytearray | memoryview | str):
        raise TypeError("decode_batch takes a list of JPEGs; this is one: use decode, or pass [data]")
    result_out, out = out, target_of(out)
    files = list(files)
    sources = _sources(files, tables)
    if out is None:
        result_out = out = _new_batch(sources, settings)
    if not isinstance(out, np.ndarray) or out.ndim not in (3, 4) or len(out) != len(files):
        raise ValueError(f"out must be an array ({len(files)}, H, W, channels) or ({len(files)}, H, W)")
    if len(files) == 0:
        return result_out  # type: ignore[no-any-return]
    kind = out.dtype if out.dtype == np.uint16 else np.uint8
    _check_out_values(out, out.shape, kind)
    _check_out(out[0], out.shape[1:], kind)
    _check_batch_work(sources, out, options)
    batch, jobs = ffi.new("mzc_decode_batch *"), ffi.new("mzc_decode_job[]", len(files))
    _fill_jobs(jobs, sources, out)
    batch.jobs, batch.num_jobs, batch.options = jobs, len(files), settings[0]
    batch.height, batch.width = out.shape[1:3]
    batch.channels = out.shape[3] if out.ndim == 4 else 1
    batch.row_stride, batch.sample_size = out.strides[1], out.itemsize
    alive = jobs, sources, out  # C reads and writes these even if an exception ends this call before the helpers
    helpers = [
        threading.Thread(target=_run_batch, args=(batch, alive))
        for _ in range(min(num_threads(threads), len(files)) - 1)
    ]
    for helper in helpers:
        helper.start()
    _run_batch(batch, alive)
    for helper in helpers:
        helper.join()
    on_truncated = options.get("on_truncated", "error")
    if on_truncated == "error":
        harder = _complete_jobs(jobs, sources, out, settings)
    else:
        harder = _salvage_jobs(jobs, sources, out, pixel_format, options)
    _report(jobs, harder, on_truncated)
    return result_out  # type: ignore[no-any-return]


def _batch_channels_first(
    files: Iterable[Source], pixel_format: str | None, layout: str, out: Any, threads: int | None, options: Any
) -> NDArray[Any]:
    check_layout(layout)
    pixels = decode_batch(files, pixel_format, threads=threads, **options)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    if out is None:
        return np.ascontiguousarray(pixels)
    _check_out_values(target_of(out), pixels.shape, pixels.dtype)
    target_of(out)[...] = pixels
    return out  # type: ignore[no-any-return]


def _complete_jobs(jobs: Any, sources: list[Any], out: NDArray[Any], settings: Any) -> dict[int, Damage | None]:
    """Decode the files whose header lacks what the rest of the file has (a height, tables); returns their numbers."""
    found: dict[int, Damage | None] = {}
    for number, job in enumerate(jobs):
        whole = completed(memoryview(ffi.buffer(sources[number]))) if job.status.code == lib.MZC_DAMAGED else None
        if whole is None:
            continue
        try:
            with Decoder(whole, settings) as decoder:
                if decoder.shape == out[number].shape and decoder.dtype == out.dtype:
                    decoder.read(out[number])
                    found[number] = None
        except JpegError:
            continue  # the job's own error is reported
    return found


def _salvage_jobs(
    jobs: Any, sources: list[Any], out: NDArray[Any], pixel_format: str | None, options: DecodeOptions
) -> dict[int, Damage | None]:
    """Decode the beginning of the files that ended with an error; returns the damage of those that worked."""
    found: dict[int, Damage | None] = {}
    settings = decode_options(pixel_format, options)

    def attempt(stream: Any, target: NDArray[Any]) -> None:
        with Decoder(stream, settings) as decoder:
            if decoder.shape != target.shape or decoder.dtype != target.dtype:
                raise DamagedError("the image has another size")
            decoder.read(target)

    for number, job in enumerate(jobs):
        if job.status.code == lib.MZC_DAMAGED:
            try:
                _, found[number] = salvage(sources[number], partial(attempt, target=out[number]))
            except JpegError:
                continue  # the job's own error is reported
    return found


def _numbered(number: int, error: JpegError) -> JpegError:
    renamed = type(error)(f"file {number}: {error}", error.message_code)
    if isinstance(error, DamagedError) and isinstance(renamed, DamagedError):
        renamed.damage = error.damage
    return renamed


def _report(jobs: Any, harder: dict[int, Damage | None], on_truncated: object) -> None:
    for number, job in enumerate(jobs):
        if job.status.code and number not in harder:
            raise _numbered(number, named(error_of(job.status), ffi.buffer(job.data, job.size)))
    for number, job in enumerate(jobs):
        note_damage(job.status, harder.get(number), on_truncated, stacklevel=3, prefix=f"file {number}: ")


def decode_many(
    files: Iterable[Source],
    pixel_format: str | None = "rgb",
    *,
    layout: str = "hwc",
    threads: int | None = None,
    apply_orientation: bool = False,
    tables: Source | None = None,
    **options: Unpack[DecodeOptions],
) -> Iterator[NDArray[Any]]:
    """Decode JPEGs in several threads; yields the pixels, (H, W, C) or (H, W) as :func:`decode` does, in order.

    Sizes may differ. *files* are consumed as needed. *threads* defaults to the cores that this process may use. An
    error is raised in place of the failing image.
    """
    if pixel_format == "planes":
        raise ValueError("decode_many does not support pixel_format='planes'")
    decode_options(pixel_format, options)  # raise for wrong options here, not at the first image

    check_layout(layout)

    def one(data: Source) -> NDArray[Any]:
        return decode(
            data, pixel_format, layout=layout, apply_orientation=apply_orientation, tables=tables, **options
        )

    return ordered_map(one, files, threads)
