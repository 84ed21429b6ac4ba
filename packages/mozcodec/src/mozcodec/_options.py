"""The options of the encoder: names, checks and conversion to C.

The names are libjpeg's. Every option is one of cjpeg's switches, given in brackets below; without options the result is
that of cjpeg with -quality only.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from ._errors import JpegError, UnsupportedError, error_of
from ._mozjpeg import ffi, lib

Quality = float | Sequence[float] | None
"""A number 1..100, one for each quantization table, or None for no -quality switch at all."""


class DefaultQuality(int):
    """The quality of a call that gives none: 75, and distinguishable from a 75 that was given together with
    ``distance``."""


DEFAULT_QUALITY = DefaultQuality(75)

PIXEL_FORMATS: Mapping[str, tuple[int, int]] = {
    # name -> (C's name, samples per pixel)
    "gray": (lib.MZC_GRAY, 1),
    "rgb": (lib.MZC_RGB, 3),
    "bgr": (lib.MZC_BGR, 3),
    "rgba": (lib.MZC_RGBA, 4),
    "bgra": (lib.MZC_BGRA, 4),
    "argb": (lib.MZC_ARGB, 4),
    "abgr": (lib.MZC_ABGR, 4),
    "rgbx": (lib.MZC_RGBA, 4),
    "bgrx": (lib.MZC_BGRA, 4),
    "xrgb": (lib.MZC_ARGB, 4),
    "xbgr": (lib.MZC_ABGR, 4),
    "ycbcr": (lib.MZC_YCBCR, 3),
    "cmyk": (lib.MZC_CMYK, 4),
    "ycck": (lib.MZC_YCCK, 4),
    "two": (lib.MZC_TWO, 2),
}
COLOR_SPACES: Mapping[str, int] = {
    "gray": lib.MZC_GRAY,
    "rgb": lib.MZC_RGB,
    "ycbcr": lib.MZC_YCBCR,
    "cmyk": lib.MZC_CMYK,
    "ycck": lib.MZC_YCCK,
}
SUBSAMPLING: Mapping[str, tuple[int, int]] = {
    # J:a:b as libjpeg's sampling factors of the luma component
    "4:4:4": (1, 1),
    "4:2:2": (2, 1),
    "4:2:0": (2, 2),
    "4:4:0": (1, 2),
    "4:1:1": (4, 1),
    "4:4:1": (1, 4),
    "4:1:0": (4, 2),
}
PROFILES = {"max_compression": lib.MZC_PROFILE_MAX_COMPRESSION, "fastest": lib.MZC_PROFILE_FASTEST}
TUNES = {
    "psnr": lib.MZC_TUNE_PSNR,
    "hvs-psnr": lib.MZC_TUNE_HVS_PSNR,
    "ssim": lib.MZC_TUNE_SSIM,
    "ms-ssim": lib.MZC_TUNE_MS_SSIM,
}
ENGINES = {"auto": lib.MZC_ENGINE_AUTO, "library": lib.MZC_ENGINE_LIBRARY, "fast": lib.MZC_ENGINE_FAST}
DCT_METHODS = {"islow": lib.MZC_DCT_ISLOW, "ifast": lib.MZC_DCT_IFAST, "float": lib.MZC_DCT_FLOAT}
DCT_NAMES = {**DCT_METHODS, "int": lib.MZC_DCT_ISLOW, "fast": lib.MZC_DCT_IFAST}
"""With the words of cjpeg's and djpeg's -dct."""


def _largest_dimension() -> int:
    build = ffi.new("mzc_build *")
    lib.mzc_build_info(build)
    return int(build.largest_dimension)


MAX_DIMENSION = _largest_dimension()
"""Rows and columns of an image: 65535; 65500 where mozjpeg was not built with mozcodec."""
MAX_SCANS = 64  # mozjpeg's own scan buffers
SMALLEST_DISTANCE = 0.1
PERCEPTUAL = ("distance", "effort", "transfer")
"""The options of the perceptual mode, which :mod:`mozcodec._perceptual` reads."""


class EncodeOptions(TypedDict, total=False):
    """The options of :func:`mozcodec.encode`; cjpeg's switch in brackets."""

    progressive: bool
    """True: progressive, the default (-progressive). False: baseline, with 8-bit tables (-baseline)."""
    quant_baseline: bool
    """Limit table entries to 255 (-quant-baseline). False with ``progressive=False`` allows 16-bit entries."""
    profile: Literal["max_compression", "fastest"]
    """"fastest": the defaults of libjpeg-turbo (-revert)."""
    optimize_scans: bool | Literal["wide"]
    """Search for the best scan script; default True (False: -fastcrush). "wide" (gray and YCbCr): the engine tries more
    scans than mozjpeg; the file is never larger and has the same pixels, but not mozjpeg's bytes."""
    scan_script: "str | Sequence[tuple[Sequence[int], int, int, int, int]]"
    """The scan script (-scans): cjpeg's text, or tuples (components, Ss, Se, Ah, Al); at most 64."""
    dc_scan_opt_mode: Literal[0, 1, 2]
    """DC scans (-dc-scan-opt): 0 one for all components, 1 one each, 2 whichever is smaller."""
    trellis_quant: bool
    """Trellis quantization; default True (False: -notrellis). In a sequential file it implies ``optimize_coding``."""
    trellis_quant_dc: bool
    """Trellis quantization of the DC coefficients; default True (False: -notrellis-dc)."""
    trellis_eob_opt: bool
    """Optimise runs of end-of-block in the trellis."""
    trellis_q_opt: bool
    """Adapt the quantization table in the trellis loop."""
    use_scans_in_trellis: bool
    """Take the scans into account in the trellis."""
    trellis_freq_split: int
    """The coefficient at which these scans are split, 1..63."""
    trellis_num_loops: int
    """Number of trellis passes, 1..10."""
    trellis_delta_dc_weight: float
    """Weight of vertical DC differences (-trellis-dc-ver-weight)."""
    use_lambda_weight_tbl: bool
    """Weight the distortion in the trellis by the quantization table."""
    lambda_log_scale1: float
    """First lambda parameter of the trellis (-lambda1)."""
    lambda_log_scale2: float
    """Second lambda parameter of the trellis (-lambda2)."""
    tune: Literal["psnr", "hvs-psnr", "ssim", "ms-ssim"]
    """Tables and trellis for a metric (-tune-psnr, ...)."""
    quant_table: int
    """Base quantization table 0..8 (-quant-table): 0 Annex K, 1 flat, 2 MS-SSIM, 3 ImageMagick (default), 4 PSNR-HVS,
    5 Klein, 6 Watson, 7 Ahumada, 8 Peterson."""
    quant_tables: "Sequence[ArrayLike] | Mapping[int, ArrayLike]"
    """Up to four base tables of 8x8 entries, scaled by the quality (-qtables); with ``quality=None`` they are taken as
    they are. Also {slot: table}, as ``inspect(data).quant_tables``."""
    quant_slots: Sequence[int]
    """The table of each component; the last one is repeated (-qslots)."""
    overshoot_deringing: bool
    """Reduce ringing on white; default True (False: -noovershoot)."""
    dct_method: Literal["islow", "ifast", "float", "int", "fast"]
    """Forward DCT (-dct int, fast, float)."""
    arithmetic: bool
    """Arithmetic instead of Huffman coding (-arithmetic). Few programs read such files."""
    optimize_coding: bool
    """Optimal Huffman tables (-optimize)."""
    smoothing_factor: int
    """Smoothing of the input, 0..100 (-smooth)."""
    restart_interval: int
    """Number of MCUs between restart markers, 0..65535 (-restart nB)."""
    restart_rows: int
    """Number of rows of MCUs between restart markers, 0..65535 (-restart n)."""
    color_space: Literal["gray", "rgb", "ycbcr", "cmyk", "ycck"]
    """Colour space of the file; "gray" is -grayscale, "rgb" is -rgb."""
    subsampling: "str | Sequence[tuple[int, int]] | None"
    """"4:2:0" and so on, "2x1" and so on, or factors (h, v) of each component (-sample). None is cjpeg's choice: 4:4:4
    from quality 90, 4:2:2 from 80, 4:2:0 below. With ``distance``, None or "auto" is 4:4:4 below 0.6, 4:2:0 above."""
    lossless: "int | tuple[int, int]"
    """Lossless JPEG (SOF3): the predictor 1..7, or (predictor, point transform) (-revert -lossless)."""
    precision: int
    """Bits of a sample: 8, 12, or 2 to 16 with ``lossless`` (-precision). mozjpeg's trellis and deringing are for 8
    bits: 12 is its -precision 12 -notrellis -noovershoot."""
    jfif: bool
    """Write the JFIF marker; default True (False: -nojfif)."""
    density: "tuple[int, int, Literal['none', 'inch', 'cm']]"
    """Pixel density of the JFIF marker: (x, y, unit); unit "none" makes it an aspect ratio."""
    max_memory: int | None
    """Limit of libjpeg's working memory in bytes; default None, no limit (-maxmemory)."""
    distance: float
    """The perceptual mode, instead of a quality: 0.1..25, about 1 where a difference begins to show. See
    :func:`mozcodec.encode`."""
    effort: Literal[0, 1, 2]
    """With ``distance``: 0 tables and float samples, 1 luma that compensates for chroma's errors (default), 2 more bits
    where they raise SSIMULACRA2 most."""
    transfer: Literal["srgb", "linear"]
    """With ``distance``: the transfer function of the samples; default "srgb"."""
    engine: Literal["auto", "library", "fast"]
    """What does trellis, scan search and entropy coding. "auto" (default): mozcodec's engine wherever it writes the
    library's bytes, otherwise the library. "library" and "fast" force one. See :func:`mozcodec.engine_used`."""


def choice(name: str, value: object, choices: Mapping[str, Any]) -> Any:
    """Return the entry of *choices* for *value*; raises ``ValueError`` with the list of choices."""
    if isinstance(value, str) and value in choices:
        return choices[value]
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


BOOLEANS = (bool, np.bool_)


def integer(name: str, value: object, low: int, high: int) -> int:
    """Return *value* as an ``int`` within low..high."""
    if isinstance(value, BOOLEANS) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer {low}..{high}, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low}..{high}, got {value}")
    return int(value)


def real(name: str, value: object) -> float:
    """Return *value* as a finite ``float``."""
    if isinstance(value, BOOLEANS) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} must be finite, got an integer of more than 1,024 bits") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}")
    return number


def flag(name: str, value: object) -> int:
    """Return *value*, a bool, as 0 or 1."""
    if not isinstance(value, BOOLEANS):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return int(value)


def _qualities(quality: object) -> list[float]:
    if quality is None:
        return []
    values = [quality] if isinstance(quality, int | float | np.integer | np.floating) else quality
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"quality must be a number 1..100, up to four of them, or None, got {quality!r}")
    numbers = [real("quality", value) for value in values]
    if not 1 <= len(numbers) <= 4:
        raise ValueError(f"quality takes one to four numbers, got {len(numbers)}")
    for number in numbers:
        if not 1 <= number <= 100:
            raise ValueError(f"quality must be 1..100, got {number:g}")
    return numbers


def sampling_factors(value: object) -> list[tuple[int, int]]:
    """Return the sampling factors (h, v) that *value* names: "4:2:0", "420", "2x1,1x1,1x1", or pairs."""
    if isinstance(value, str) and len(value) == 3 and ":".join(value) in SUBSAMPLING:
        value = ":".join(value)
    if isinstance(value, str) and value in SUBSAMPLING:
        return [SUBSAMPLING[value]]
    wanted = f"{', '.join(SUBSAMPLING)}, factors such as '2x2', or pairs (h, v) of 1..4, one for each component"
    pairs: list[tuple[int, int]] = []
    try:
        parts = [part.split("x") for part in value.split(",")] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
        for h, v in parts:
            pairs.append((int(h), int(v)))
    except (TypeError, ValueError):
        raise ValueError(f"subsampling must be one of {wanted}; got {value!r}") from None
    if not 1 <= len(pairs) <= 4 or not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in pairs):
        raise ValueError(f"subsampling must be one of {wanted}; got {value!r}")
    return pairs


def _set_subsampling(options: Any, value: object) -> None:
    if value is None:
        return
    if value == "gray":
        options.color_space = lib.MZC_GRAY
        return
    pairs = sampling_factors(value)
    options.num_sampling = len(pairs)
    for i, (h, v) in enumerate(pairs):
        options.h_samp_factor[i] = h
        options.v_samp_factor[i] = v


def parse_scan_script(text: str) -> list[tuple[list[int], int, int, int, int]]:
    """Return the scans of cjpeg's scan file: ``0 1 2: 0 0 0 1;`` and so on, ``#`` starts a comment."""
    scans: list[tuple[list[int], int, int, int, int]] = []
    lines = (line.partition("#")[0] for line in text.splitlines())
    for entry in " ".join(lines).replace(",", " ").replace("-", " ").split(";"):
        if not entry.strip():
            continue
        components, colon, parameters = entry.partition(":")
        try:
            numbers = [int(word) for word in parameters.split()] if colon else [0, 63, 0, 0]
            ss, se, ah, al = numbers
            scans.append(([int(word) for word in components.split()], ss, se, ah, al))
        except ValueError:
            raise ValueError(f"scan_script: {entry.strip()!r} is not 'components: Ss Se Ah Al'") from None
    return scans


def _set_scan_script(options: Any, value: object) -> None:
    scans: Any = parse_scan_script(value) if isinstance(value, str) else value
    if not isinstance(scans, Sequence) or not 1 <= len(scans) <= MAX_SCANS:
        raise ValueError(f"scan_script must hold 1..{MAX_SCANS} scans, got {value!r}")
    options.num_scans = len(scans)
    for number, entry in enumerate(scans):
        try:
            components, *progression = entry
            ss, se, ah, al = (integer("scan_script", part, 0, 63) for part in progression)
            members = [integer("scan_script", part, 0, 3) for part in components]
        except (TypeError, ValueError):
            wanted = "(components, Ss, Se, Ah, Al)"
            raise ValueError(f"scan_script: scan {number} must be {wanted}, got {entry!r}") from None
        if not 1 <= len(members) <= 4:
            raise ValueError(f"scan_script: scan {number} must have 1..4 components, got {entry!r}")
        scan = options.scans[number]
        scan.num_components = len(members)
        for i, component in enumerate(members):
            scan.component[i] = component
        scan.Ss, scan.Se, scan.Ah, scan.Al = ss, se, ah, al


def _by_slot(tables: Mapping[Any, Any]) -> list[Any]:
    """Return the tables of {slot: table}, as ``inspect`` gives them; a slot without one repeats the one before it."""
    slots = sorted(integer("quant_tables", slot, 0, 3) for slot in tables)
    return [tables[max([slots[0], *(s for s in slots if s <= k)])] for k in range(max(slots, default=-1) + 1)]


def _set_quant_tables(options: Any, value: object) -> None:
    if isinstance(value, Mapping):
        value = _by_slot(value)
    tables = list(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else []
    if not 1 <= len(tables) <= 4:
        raise ValueError(f"quant_tables must be one to four tables of 8x8 entries, got {value!r}")
    options.num_quant_tables = len(tables)
    for i, entries in enumerate(tables):
        table = np.asarray(entries)
        if table.size != 64 or table.dtype.kind not in "iu" or table.min() < 1 or table.max() > 65535:
            raise ValueError(f"quant_tables[{i}] must be 8x8 integers 1..65535")
        for k, entry in enumerate(table.reshape(64).tolist()):
            options.quant_tables[i][k] = entry


def _set_quant_slots(options: Any, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence) or not 1 <= len(value) <= 4:
        raise ValueError(f"quant_slots must be one to four table numbers 0..3, got {value!r}")
    options.num_quant_slots = len(value)
    for i, slot in enumerate(value):
        options.quant_slots[i] = integer("quant_slots", slot, 0, 3)


def _set_lossless(options: Any, value: object) -> None:
    predictor, transform = value if isinstance(value, tuple) and len(value) == 2 else (value, 0)
    options.lossless_predictor = integer("lossless", predictor, 1, 7)
    options.lossless_point_transform = integer("lossless point transform", transform, 0, 15)


def _set_density(options: Any, value: object) -> None:
    if not isinstance(value, tuple) or len(value) != 3:
        raise ValueError(f"density must be (x, y, 'none' | 'inch' | 'cm'), got {value!r}")
    x, y, unit = value
    options.x_density = integer("density x", x, 1, 65535)
    options.y_density = integer("density y", y, 1, 65535)
    options.density_unit = choice("density unit", unit, {"none": 0, "inch": 1, "cm": 2})


def _set_max_memory(options: Any, value: object) -> None:
    options.max_memory = 0 if value is None else integer("max_memory", value, 1, 2**62)


def _flag_setter(name: str) -> Callable[[Any, object], None]:
    return lambda options, value: setattr(options, name, flag(name, value))


def _set_optimize_scans(options: Any, value: object) -> None:
    if isinstance(value, str) and value != "wide":
        raise ValueError(f"optimize_scans must be True, False or 'wide', got {value!r}")
    options.optimize_scans = lib.MZC_SCANS_WIDE if value == "wide" else flag("optimize_scans", value)


def _integer_setter(name: str, low: int, high: int) -> Callable[[Any, object], None]:
    return lambda options, value: setattr(options, name, integer(name, value, low, high))


def _real_setter(name: str) -> Callable[[Any, object], None]:
    return lambda options, value: setattr(options, name, real(name, value))


def _choice_setter(name: str, choices: Mapping[str, int]) -> Callable[[Any, object], None]:
    return lambda options, value: setattr(options, name, choice(name, value, choices))


_SETTERS: dict[str, Callable[[Any, object], None]] = {
    **{
        name: _flag_setter(name)
        for name in (
            "progressive",
            "quant_baseline",
            "trellis_quant",
            "trellis_quant_dc",
            "trellis_eob_opt",
            "trellis_q_opt",
            "use_scans_in_trellis",
            "use_lambda_weight_tbl",
            "overshoot_deringing",
            "arithmetic",
            "optimize_coding",
            "jfif",
        )
    },
    **{name: _real_setter(name) for name in ("lambda_log_scale1", "lambda_log_scale2", "trellis_delta_dc_weight")},
    "optimize_scans": _set_optimize_scans,
    "dc_scan_opt_mode": _integer_setter("dc_scan_opt_mode", 0, 2),
    "quant_table": _integer_setter("quant_table", 0, 8),
    "smoothing_factor": _integer_setter("smoothing_factor", 0, 100),
    "restart_interval": _integer_setter("restart_interval", 0, 65535),
    "restart_rows": _integer_setter("restart_rows", 0, 65535),
    "trellis_freq_split": _integer_setter("trellis_freq_split", 1, 63),
    "trellis_num_loops": _integer_setter("trellis_num_loops", 1, 10),
    "max_memory": _set_max_memory,
    "profile": _choice_setter("profile", PROFILES),
    "tune": _choice_setter("tune", TUNES),
    "dct_method": _choice_setter("dct_method", DCT_NAMES),
    "color_space": _choice_setter("color_space", COLOR_SPACES),
    "engine": _choice_setter("engine", ENGINES),
    "subsampling": _set_subsampling,
    "scan_script": _set_scan_script,
    "quant_tables": _set_quant_tables,
    "quant_slots": _set_quant_slots,
    "lossless": _set_lossless,
    "density": _set_density,
}


_NOT_WITH_LOSSLESS = frozenset(
    ("progressive", "profile", "arithmetic", "scan_script", "subsampling", "smoothing_factor", "tune", "color_space")
)


def _set_lossless_profile(struct: Any, options: Mapping[str, object]) -> None:
    """Lossless coding has no DCT: mozjpeg's extensions do not work with it ("Bogus buffer control mode")."""
    for name in options:
        if name == "profile" and options[name] == "fastest":  # as in -revert -lossless
            continue
        if name in _NOT_WITH_LOSSLESS or name.startswith(("trellis", "quant", "optimize", "dc", "lambda", "use")):
            raise ValueError(f"{name} cannot be combined with lossless")
    struct.profile = lib.MZC_PROFILE_FASTEST


def _set_deep_profile(struct: Any, options: Mapping[str, object]) -> None:
    """Turn off what mozjpeg does for 8-bit samples only; its deringing would take every sample above 255 for white."""
    for name in ("trellis_quant", "overshoot_deringing"):
        if options.get(name):
            raise ValueError(f"{name} is for 8-bit samples only")
        setattr(struct, name, 0)


def is_sequential(struct: Any) -> bool:
    """Return whether options make a sequential file."""
    if struct.num_scans:
        return all((struct.scans[i].Ss, struct.scans[i].Se) == (0, 63) for i in range(struct.num_scans))
    return bool(struct.progressive == 0 or (struct.progressive < 0 and struct.profile == lib.MZC_PROFILE_FASTEST))


def _keep_trellis_with_its_tables(struct: Any) -> None:
    """mozjpeg's trellis needs optimal tables in a sequential file; without them its streams are corrupt."""
    fastest = struct.profile == lib.MZC_PROFILE_FASTEST
    trellis = struct.trellis_quant == 1 or (struct.trellis_quant < 0 and not fastest)
    if not trellis or not is_sequential(struct) or struct.arithmetic == 1:
        return
    if struct.optimize_coding == 0:
        raise ValueError("optimize_coding=False needs trellis_quant=False in a sequential file")
    if fastest:
        struct.optimize_coding = 1


def _check_wide_search(struct: Any) -> None:
    if struct.optimize_scans != lib.MZC_SCANS_WIDE:
        return
    for name, without in (
        ("engine='library'", struct.engine == lib.MZC_ENGINE_LIBRARY),
        ("arithmetic=True", struct.arithmetic == 1),
        ("scan_script", struct.num_scans > 0),
        ("dc_scan_opt_mode", struct.dc_scan_opt_mode >= 0),
        ("a sequential file", is_sequential(struct)),
    ):
        if without:
            raise ValueError(f"optimize_scans='wide' cannot be combined with {name}")


def _misplaced(name: str, options: Mapping[str, object]) -> str:
    if name != "distance" and "distance" not in options:
        return f"{name} needs distance, which is not given"
    return f"{name} is for encode, encode_many, Encoder, sweep and encode_to_target"


def _build(quality: object, options: Mapping[str, object]) -> Any:
    struct = ffi.new("mzc_encode_options *")
    lib.mzc_default_encode_options(struct)
    numbers = _qualities(quality)
    struct.num_qualities = len(numbers)
    for i, number in enumerate(numbers):
        struct.quality[i] = number
    for name, value in options.items():
        setter = _SETTERS.get(name)
        if setter is None:
            if name in PERCEPTUAL:
                raise ValueError(_misplaced(name, options))
            if name == "precision":
                integer("precision", value, 2, 16)
                continue
            raise TypeError(f"unknown option {name!r}; known: {', '.join(sorted((*_SETTERS, 'precision')))}")
        setter(struct, value)
    if "lossless" in options:
        _set_lossless_profile(struct, options)
    elif options.get("precision", 8) != 8:
        _set_deep_profile(struct, options)
    _check_wide_search(struct)
    _keep_trellis_with_its_tables(struct)
    return struct


@lru_cache(maxsize=256, typed=True)  # typed because 1 == True == 1.0
def _cached(quality: object, /, **options: object) -> Any:
    return _build(quality, options)


def encode_options(quality: object, options: Mapping[str, object]) -> Any:
    """Return the C form of the options, after checking names, types and ranges."""
    try:
        return _cached(quality, **options)
    except TypeError:  # lists and arrays cannot be looked up; a value of a wrong type is refused once more below
        pass
    return _build(quality, options)


def with_separate_scans(settings: Any, num_components: int) -> Any:
    """Return settings that code each component in scans of its own, where they leave the scans to the encoder.

    MCUs hold ten blocks at most: components of 3x3 or 4x4 blocks cannot share a scan.
    """
    own = ffi.new("mzc_encode_options *", settings[0])
    bands = [(0, 63)] if is_sequential(settings) else [(0, 0), (1, 63)]
    _set_scan_script(own, [((k,), first, last, 0, 0) for first, last in bands for k in range(num_components)])
    return own


def needs_separate_scans(message: str, settings: Any) -> bool:
    """Return whether libjpeg refused to interleave the components, and the scans are left to the encoder."""
    return "too large for interleaved scan" in message and settings.num_scans == 0


def encoder_error(status: Any, settings: Any) -> JpegError:
    """Return the exception for *status* of an encoder; one for components that share no scan says how to code them."""
    error = error_of(status)
    if "too large for interleaved scan" not in str(error):
        return error
    factors = [(settings.h_samp_factor[i], settings.v_samp_factor[i]) for i in range(settings.num_sampling)]
    named = f"subsampling={','.join(f'{h}x{v}' for h, v in factors)}: " if factors else ""
    way = "give smaller factors, or scan_script with one component in each scan ('0: 0 63 0 0; 1: 0 63 0 0; ...')"
    return UnsupportedError(
        f"{named}{error}: the components of a scan may have ten blocks an MCU in all; {way}", error.message_code
    )


CODING = frozenset(
    (
        "arithmetic",
        "dc_scan_opt_mode",
        "density",
        "engine",
        "jfif",
        "max_memory",
        "optimize_coding",
        "optimize_scans",
        "profile",
        "progressive",
        "restart_interval",
        "restart_rows",
        "scan_script",
    )
)
"""The options that change how coefficients are coded, but not the coefficients."""


def coding_options(options: Mapping[str, object]) -> Any:
    """Return the C form of options for coefficients that are quantized already."""
    for name in options:
        if name in EncodeOptions.__annotations__ and name not in CODING:
            raise ValueError(f"{name} would change the coefficients; allowed options: {', '.join(sorted(CODING))}")
    return encode_options(None, {**options, "trellis_quant": False})
