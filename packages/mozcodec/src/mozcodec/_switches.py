"""The switches of cjpeg, djpeg and jpegtran for the command line, and their conversion to options."""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ._decode import MAX_PIXELS, MAX_SCANS, decode, decode_options, read_header
from ._encode import encode, precision_of
from ._errors import JpegError
from ._files import bytes_of, is_jpeg, picture_from
from ._metadata import ICC_SIGNATURE, segments_to_write, with_segments
from ._options import DCT_METHODS, DEFAULT_QUALITY, TUNES, DefaultQuality, coding_options, parse_scan_script
from ._reading import read_source
from ._smartscale import encode_scaled, encode_smartscale
from ._sweep import encode_to_target
from ._transform import COPY, optimize, transform
from ._work import MAX_MARKER_BYTES

Convert = Callable[[bytes, str, str], bytes]
"""Takes a file's content, its name and the suffix of the result; returns the result's content."""


# The programs' short forms of ambiguous switches; argparse handles the other abbreviations.
SHORT = {
    "encode": {"q": "quality", "o": "optimize", "p": "progressive", "b": "baseline", "r": "restart", "n": "notrellis",
               "l": "lossless", "dc": "dct", "gray": "grayscale", "greyscale": "grayscale", "optimise": "optimize"},
    "decode": {"s": "scale", "greyscale": "grayscale"},
    "optimize": {"c": "copy", "f": "flip", "o": "optimize", "p": "progressive", "r": "restart", "s": "scans",
                 "t": "transpose", "trans": "transpose", "greyscale": "grayscale", "optimise": "optimize"},
}  # fmt: skip
for _verb in SHORT.values():  # the programs' -max; the other limits are mozcodec's
    _verb.update(max="maxmemory", maxm="maxmemory")
SHORT["tree"] = SHORT["encode"]
SHORT["sweep"] = SHORT["encode"] | {"q": "qualities", "quality": "qualities", "block": "blocks", "scale": "scales"}


def in_full(words: Sequence[str]) -> list[str]:
    """Return the command line with the short forms expanded."""
    short = SHORT.get(words[0], {}) if words else {}
    return [f"-{short[word.lstrip('-')]}" if word[:1] == "-" and word.lstrip("-") in short else word for word in words]


_SWITCHES: Mapping[str, str] = {
    # an option of Python, as texts of errors name it -> the command line's
    "max_pixels": "maxpixels",
    "max_scans": "maxscans",
    "max_memory": "maxmemory",
    "max_work": "maxwork",
    "max_marker_bytes": "maxmarkers",
    "subsampling": "sample",
    "quant_baseline": "quant-baseline",
    "quant_tables": "qtables",
    "quant_table": "quant-table",
    "quant_slots": "qslots",
    "scan_script": "scans",
    "dc_scan_opt_mode": "dc-scan-opt",
    "dct_method": "dct",
    "dct_size": "scale",
    "block_size": "block",
    "smoothing_factor": "smooth",
    "restart_interval": "restart",
    "restart_rows": "restart",
    "trellis_delta_dc_weight": "trellis-dc-ver-weight",
    "lambda_log_scale1": "lambda1",
    "lambda_log_scale2": "lambda2",
    "on_truncated": "on-truncated",
    "optimize_coding": "optimize",
    "trellis_quant_dc": "trellis-dc",
    "trellis_quant": "notrellis",
    "overshoot_deringing": "noovershoot",
    "color_space": "grayscale or -rgb",
}
_ALIKE = ("arithmetic", "distance", "effort", "lossless", "parts", "precision", "progressive", "quality", "repair",
          "scale", "smallest", "ssimulacra2", "trim")  # fmt: skip
_WHOLE = {  # in this order
    "trellis_quant=False": "-notrellis",
    "overshoot_deringing=False": "-noovershoot",
    "optimize_scans='wide'": "-widescans",
    "optimize_scans": "-fastcrush or -widescans",
    "progressive cannot be combined with distance": "-progressive and -baseline cannot be combined with -distance",
    "combined with distance": "combined with -distance",
    "region (": "-crop (",
    "need pixel_format='rgba', 'bgra', 'argb', 'abgr', 'cmyk' or 'ycck'": "are not encoded: mozcodec decode -rgb first",
    "need pixel_format='two': a file of two components without a colour space": "are not encoded here: use Python",
    "give quality or distance": "give -quality or -distance",
    "density, effort, engine, jfif, subsampling, transfer": "-effort, -nojfif, -sample",
}
_NAMES = "|".join(sorted((*_SWITCHES, *_ALIKE), key=len, reverse=True))
_ASSIGNED = re.compile(rf"\b({_NAMES})=(?:True\b|'([^']*)'|([^\s,:;)]+))")
_SUBJECTS: Mapping[str, str] = {**{name: name for name in _ALIKE}, "profile": "revert", "tune": "tune-..."}
"""Words that are options where they begin a text."""
_FIRST = re.compile(rf"^({'|'.join(_SUBJECTS)}) (?=must|takes|needs|cannot|goes)")
_NAMED = re.compile(rf"(?<![\w-])({'|'.join(sorted(_SWITCHES, key=len, reverse=True))})\b")


def in_switches(error: BaseException) -> str:
    """Return the text of an error with the command line's switches in place of Python's options."""
    text = str(error)
    if isinstance(error, OSError):  # it holds file names
        return text
    for option, switch in _WHOLE.items():
        text = text.replace(option, switch)

    def assigned(found: re.Match[str]) -> str:
        name, value = found[1], found[2] or found[3]
        return f"-{_SWITCHES.get(name, name)}" + (f" {value}" if value else "")

    text = _FIRST.sub(lambda found: f"-{_SUBJECTS[found[1]]} ", _ASSIGNED.sub(assigned, text))
    return _NAMED.sub(lambda found: f"-{_SWITCHES[found[1]]}", text)


def add_switch(parser: argparse._ActionsContainer, name: str, **settings: Any) -> None:
    """Add a switch as -name, as cjpeg has it, and --name."""
    parser.add_argument(f"-{name}", f"--{name}", dest=name.replace("-", "_"), **settings)


def _add_flags(parser: argparse._ActionsContainer, **flags: str) -> None:
    for name, text in flags.items():
        add_switch(parser, name.replace("_", "-"), action="store_true", help=text)


def _quality(text: str) -> Any:
    if text == "none":
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"quality is N, N,N,... or none, got {text!r}") from None
    plain = [int(value) if value.is_integer() else value for value in values]
    return plain[0] if len(plain) == 1 else tuple(plain)


def _work(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _kilobytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([mM]?)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"maxmemory is N kilobytes or NM megabytes, got {text!r}")
    return int(match[1]) * (1_000_000 if match[2] else 1000)


def _restart(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\d+)([bB]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"restart is N rows or NB blocks, got {text!r}")
    return ("restart_interval" if match[2] else "restart_rows"), int(match[1])


def _lossless(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d)(?:,(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"lossless is a predictor 1..7 or predictor,point transform, got {text!r}")
    return int(match[1]), int(match[2] or 0)


def numbers(text: str) -> list[int]:
    """10,20,30 or 10-90:20, or both."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if match is None or match[3] == "0":
            raise argparse.ArgumentTypeError(f"numbers are N,N,... or FIRST-LAST:STEP, got {text!r}")
        found += range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1))
    return found


def _maxmemory(group: argparse._ActionsContainer) -> None:
    text = "limit of libjpeg's working memory: N kilobytes, or NM for megabytes"
    add_switch(group, "maxmemory", type=_kilobytes, metavar="N[M]", help=text)


def limit_switches(group: argparse._ActionsContainer) -> None:
    """Add the limits on what is decoded."""
    text = f"refuse larger images; default {MAX_PIXELS}"
    add_switch(group, "maxpixels", type=int, default=MAX_PIXELS, metavar="N", help=text)
    text = f"refuse files with more scans; default {MAX_SCANS}"
    add_switch(group, "maxscans", type=int, default=MAX_SCANS, metavar="N", help=text)
    text = "refuse files with more pixels x scans; default by the size of image and file"
    add_switch(group, "maxwork", type=_work, default="auto", metavar="N", help=text)
    text = f"refuse files with more bytes of marker segments; default {MAX_MARKER_BYTES}"
    add_switch(group, "maxmarkers", type=int, default=MAX_MARKER_BYTES, metavar="N", help=text)


def limits_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of :func:`mozcodec.decode` for the switches of :func:`limit_switches` and -maxmemory."""
    named = {"max_pixels": args.maxpixels, "max_scans": args.maxscans, "max_work": args.maxwork}
    options: dict[str, Any] = {**named, "max_marker_bytes": args.maxmarkers}
    if getattr(args, "maxmemory", None) is not None:
        options["max_memory"] = args.maxmemory
    decode_options(None, options)  # raises for invalid ones, before the first file
    return options


def _coding_switches(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("coding")
    _add_flags(
        group,
        progressive="progressive JPEG (the default)",
        baseline="baseline JPEG",
        arithmetic="arithmetic coding",
        optimize="optimal Huffman tables",
        fastcrush="fixed scans, without the scan search",
        widescans="search among more scans than mozjpeg does: smaller files, the same pixels",
        revert="use libjpeg-turbo's defaults",
        nojfif="no JFIF marker",
    )
    add_switch(group, "dc-scan-opt", type=int, metavar="0|1|2", help="DC scan optimization mode")
    text = "restart marker every N rows of MCUs; with B, every N MCUs"
    add_switch(group, "restart", type=_restart, metavar="N[B]", help=text)
    add_switch(group, "scans", metavar="FILE", help="file with a scan script, as of cjpeg")
    _maxmemory(group)


_Flags = Iterable[tuple[str, str, Any]]
"""(switch, option, value of the option where the switch is given)"""


def _given(args: argparse.Namespace, flags: _Flags, values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the options for the given switches; *values* are (switch, option)."""
    options = {name: value for switch, name, value in flags if getattr(args, switch)}
    return options | {name: getattr(args, switch) for switch, name in values if getattr(args, switch) is not None}


def _coding_options(args: argparse.Namespace) -> dict[str, Any]:
    flags = (
        ("progressive", "progressive", True),
        ("baseline", "progressive", False),
        ("arithmetic", "arithmetic", True),
        ("optimize", "optimize_coding", True),
        ("fastcrush", "optimize_scans", False),
        ("widescans", "optimize_scans", "wide"),
        ("revert", "profile", "fastest"),
        ("nojfif", "jfif", False),
    )
    options = _given(args, flags, (("dc_scan_opt", "dc_scan_opt_mode"), ("maxmemory", "max_memory")))
    if args.restart is not None:
        options[args.restart[0]] = args.restart[1]
    if args.scans is not None:
        try:
            options["scan_script"] = parse_scan_script(_text(args.scans))
        except ValueError as error:
            raise ValueError(f"{args.scans}: {error}") from None
        if not options["scan_script"]:
            raise ValueError(f"{args.scans} has no scans")
    return options


_QUALITY = "1..100, one for each table, or none for cjpeg without this switch; default 75"


def file_switches(parser: argparse.ArgumentParser) -> None:
    """Add cjpeg's switches, and those for one file of an image."""
    encode_switches(parser)
    group = parser.add_argument_group("output file")
    add_switch(group, "quality", type=_quality, default=DEFAULT_QUALITY, metavar="N[,N]", help=_QUALITY)
    text = "perceptual mode: 0.1..25 in place of a quality, about 1 where a difference begins to show"
    add_switch(group, "distance", type=float, metavar="X", help=text)
    add_switch(group, "ssimulacra2", type=float, metavar="X", help="perceptual mode: the smallest file with this score")
    add_switch(group, "effort", type=int, metavar="0|1|2", help="effort of the perceptual mode; default 1")
    _add_flags(group, smallest="write the smaller of progressive and baseline")
    add_switch(group, "scale", type=int, metavar="N", help="scale by 8/N in the DCT, N = 1..16")
    add_switch(group, "block", type=int, metavar="N", help="SmartScale block size 1..16 (for few decoders)")
    add_switch(group, "icc", metavar="FILE", help="ICC profile to embed instead of the image's")
    text = "metadata of the image to copy; default all"
    add_switch(group, "copy", choices=tuple(COPY), default="all", help=text)


def encode_switches(parser: argparse.ArgumentParser) -> None:
    """Add the switches of cjpeg that are options of the encoder."""
    _coding_switches(parser)
    group = parser.add_argument_group("encoding")
    _add_flags(
        group,
        grayscale="gray JPEG",
        rgb="RGB JPEG",
        quant_baseline="limit table entries to 8 bits",
        notrellis="no trellis quantization",
        trellis_dc="trellis quantization of DC (the default)",
        notrellis_dc="no trellis quantization of DC",
        noovershoot="no overshoot deringing",
    )
    for tune in TUNES:
        _add_flags(group, **{f"tune-{tune}".replace("-", "_"): f"tune tables and trellis for {tune.upper()}"})
    add_switch(group, "quant-table", type=int, metavar="0..8", help="base quantization table")
    add_switch(group, "qtables", metavar="FILE", help="file of base tables, 64 numbers each")
    add_switch(group, "qslots", type=numbers, metavar="N,...", help="number of the table of each component")
    add_switch(group, "sample", metavar="HxV,...|J:a:b", help="sampling factors or 4:2:0 and so on")
    add_switch(group, "dct", choices=("int", "fast", "float"), help="method of the forward DCT")
    add_switch(group, "smooth", type=int, metavar="0..100", help="strength of smoothing before encoding")
    add_switch(group, "lambda1", type=float, metavar="X", help="lambda_log_scale1 of the trellis")
    add_switch(group, "lambda2", type=float, metavar="X", help="lambda_log_scale2 of the trellis")
    add_switch(group, "trellis-dc-ver-weight", type=float, metavar="X", help="weight of vertical DC differences")
    add_switch(group, "precision", type=int, metavar="N", help="bits of a sample: 8 or 12, 2 to 16 with -lossless")
    add_switch(group, "lossless", type=_lossless, metavar="PSV[,PT]", help="lossless JPEG: predictor, point transform")
    limit_switches(parser.add_argument_group("limits of JPEG sources"))


def _text(path: str) -> str:
    try:
        return read_source(Path(path)).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None


def _qtables(path: str) -> list[np.ndarray]:
    lines = (line.partition("#")[0] for line in _text(path).splitlines())
    entries = [int(word) for word in " ".join(lines).split()]
    if not entries or len(entries) % 64:
        raise ValueError(f"{path} has {len(entries)} numbers, which is not a multiple of 64")
    return [np.array(entries[i : i + 64]).reshape(8, 8) for i in range(0, len(entries), 64)]


def encode_options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of mozcodec.encode for the switches."""
    flags = (
        ("quant_baseline", "quant_baseline", True),
        ("notrellis", "trellis_quant", False),
        ("trellis_dc", "trellis_quant_dc", True),
        ("notrellis_dc", "trellis_quant_dc", False),
        ("noovershoot", "overshoot_deringing", False),
        ("grayscale", "color_space", "gray"),
        ("rgb", "color_space", "rgb"),
        *((f"tune_{tune}".replace("-", "_"), "tune", tune) for tune in TUNES),
    )
    values = (
        ("quant_table", "quant_table"),
        ("qslots", "quant_slots"),
        ("sample", "subsampling"),
        ("smooth", "smoothing_factor"),
        ("lambda1", "lambda_log_scale1"),
        ("lambda2", "lambda_log_scale2"),
        ("trellis_dc_ver_weight", "trellis_delta_dc_weight"),
        ("precision", "precision"),
        ("lossless", "lossless"),
    )
    options = _coding_options(args) | _given(args, flags, values)
    if args.dct is not None:
        options["dct_method"] = _DCT[args.dct]
    if args.qtables is not None:
        options["quant_tables"] = _qtables(args.qtables)
    return options


_DCT = dict(zip(("int", "fast", "float"), DCT_METHODS, strict=True))


def encoder(args: argparse.Namespace) -> Convert:
    """Return the conversion to JPEG for the switches; raises for invalid ones before the first file."""
    options, quality, limits = encode_options_of(args), args.quality, limits_of(args)
    if args.icc is not None:
        options["icc_profile"] = read_source(Path(args.icc))
    if args.smallest and (args.scale or args.block):
        raise ValueError("-smallest cannot be combined with -scale or -block")
    one: Callable[..., bytes] = encode
    options |= _perceptual_options(args)
    if args.ssimulacra2 is not None:
        return _score_encoder(args, options)
    if args.block is not None:
        one = partial(encode_smartscale, block_size=args.block, dct_size=args.scale or args.block)
    elif args.scale is not None:
        one = partial(encode_scaled, dct_size=args.scale)
    elif args.smallest:
        options["smallest"] = True
    precision_of(options)  # type: ignore[arg-type]
    one(np.zeros((8, 8, 3), np.uint8), quality, **_for_a_trial(options))

    def convert(data: bytes, name: str, suffix: str) -> bytes:  # noqa: ARG001 - the signature of conversions
        pixels, segments = picture_from(data, name, args.copy, limits)
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        layout = "cmyk" if channels == 4 and is_jpeg(data) else "two" if channels == 2 else None
        if args.icc is not None:
            segments = [(marker, content) for marker, content in segments if not content.startswith(ICC_SIGNATURE)]
        return with_segments(one(pixels, quality, pixel_format=layout, **options), segments)

    return convert


def _precision(data: bytes, pixels: np.ndarray[Any, Any]) -> int:
    """Return the bits of the samples of a file that was decoded, by its header if that is whole."""
    try:
        return read_header(data).precision
    except JpegError:
        return 8 * pixels.itemsize


def _perceptual_options(args: argparse.Namespace) -> dict[str, Any]:
    given = _given(args, (), (("distance", "distance"), ("effort", "effort")))
    if not given and args.ssimulacra2 is None:
        return {}
    if args.distance is None and args.ssimulacra2 is None:
        raise ValueError("-effort needs -distance or -ssimulacra2")
    if args.distance is not None and args.ssimulacra2 is not None:
        raise ValueError("use only one of -distance and -ssimulacra2")
    if args.scale or args.block or args.smallest:
        raise ValueError("-distance and -ssimulacra2 cannot be combined with -scale, -block or -smallest")
    return given


def _score_encoder(args: argparse.Namespace, options: dict[str, Any]) -> Convert:
    """Return the conversion to the smallest JPEG with a score."""
    if not isinstance(args.quality, DefaultQuality):
        raise ValueError("use only one of -quality and -ssimulacra2")
    limits = limits_of(args)
    own = [] if args.icc is None else segments_to_write(options.pop("icc_profile"), None, None, None)
    encode_to_target(np.zeros((8, 8, 3), np.uint8), ssimulacra2=min(args.ssimulacra2, 50), **options)
    if args.ssimulacra2 > 100:
        raise ValueError(f"-ssimulacra2 is at most 100, got {args.ssimulacra2:g}")

    def convert(data: bytes, name: str, suffix: str) -> bytes:  # noqa: ARG001 - as every conversion
        pixels, segments = picture_from(data, name, args.copy, limits)
        if args.icc is not None:
            segments = [(marker, content) for marker, content in segments if not content.startswith(ICC_SIGNATURE)]
            segments += own
        return with_segments(encode_to_target(pixels, ssimulacra2=args.ssimulacra2, **options).data, segments)

    return convert


def _for_a_trial(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without those that depend on the image: precision and scan script."""
    return {name: value for name, value in options.items() if name not in ("precision", "scan_script")}


def decode_switches(parser: argparse.ArgumentParser) -> None:
    """Add djpeg's switches."""
    group = parser.add_argument_group("decoding")
    add_switch(group, "format", default="ppm", metavar="SUFFIX", help="format in a folder: npy, png ...; default ppm")
    add_switch(group, "scale", default="8/8", metavar="M/8", help="M = 1..16, or 1/2, 1/4, 1/8")
    add_switch(group, "crop", metavar="WxH+X+Y", help="only this part of the output")
    add_switch(group, "dct", choices=("int", "fast", "float"), help="method of the inverse DCT")
    add_switch(group, "idct", choices=("fast", "true"), default="fast", help="true: real 2- and 4-point transforms")
    _maxmemory(group)
    limit_switches(group)
    text = "what to do with a damaged file; default error"
    add_switch(group, "on-truncated", choices=("error", "warn", "ok"), default="error", help=text)
    _add_flags(
        group,
        grayscale="gray pixels",
        rgb="RGB pixels, also for gray files",
        nosmooth="repeat chroma samples instead of interpolating them",
        upright="apply the EXIF orientation",
        smartscale="read sequential SmartScale files of other encoders",
    )


def _eighths(text: str) -> int:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[2]) == 0 or int(match[1]) * 8 % int(match[2]):
        raise ValueError(f"-scale is M/8 with M = 1..16, got {text}")
    return int(match[1]) * 8 // int(match[2])


def _geometry(text: str) -> tuple[int, int, int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text)
    if match is None:
        raise ValueError(f"-crop is WxH+X+Y, got {text}")
    width, height, left, top = map(int, match.groups())
    return left, top, left + width, top + height


def decoder(args: argparse.Namespace) -> Convert:
    """Return the conversion from JPEG for the switches."""
    options: dict[str, Any] = {"scale": _eighths(args.scale), "on_truncated": args.on_truncated, "idct": args.idct}
    options |= limits_of(args)
    if args.crop is not None:
        options["region"] = _geometry(args.crop)
    if args.dct is not None:
        options["dct_method"] = _DCT[args.dct]
    if args.smartscale:
        options["smartscale"] = True
    if args.nosmooth:
        options["fancy_upsampling"] = False
    pixel_format = "gray" if args.grayscale else "rgb" if args.rgb else None
    decode_options(pixel_format, options)  # raises for invalid ones, before the first file

    def convert(data: bytes, name: str, suffix: str) -> bytes:  # noqa: ARG001 - the signature of conversions
        pixels = decode(data, pixel_format, apply_orientation=args.upright, **options)
        if pixels.ndim == 3 and pixels.shape[2] == 4 and suffix != ".npy":
            pixels = decode(data, "rgb", apply_orientation=args.upright, **options)  # CMYK has no PPM
        return bytes_of(pixels, suffix, _precision(data, pixels))

    return convert


def optimize_switches(parser: argparse.ArgumentParser) -> None:
    """Add jpegtran's switches."""
    _coding_switches(parser)
    group = parser.add_argument_group("lossless")
    limit_switches(group)
    add_switch(group, "copy", choices=tuple(COPY), default="all", help="markers to copy; default all")
    add_switch(group, "rotate", type=int, choices=(90, 180, 270), help="clockwise")
    add_switch(group, "flip", choices=("horizontal", "vertical"), help="mirror left and right, or top and bottom")
    add_switch(group, "crop", metavar="WxH+X+Y", help="only this part of the result")
    text = "further images, gain maps and data of the file; default rewrite"
    add_switch(group, "parts", choices=("rewrite", "keep", "drop"), default="rewrite", help=text)
    _add_flags(
        group,
        auto="turn upright as the EXIF orientation says",
        transpose="rows become columns",
        transverse="transpose along the other diagonal",
        perfect="fail if edge blocks cannot be moved (the default)",
        trim="drop edge blocks that cannot be moved",
        grayscale="drop the chroma",
        repair="write what can be decoded of damaged files",
    )


def optimizer(args: argparse.Namespace) -> Convert:
    """Return the lossless conversion for the switches."""
    options = _coding_options(args)
    coding_options(options)  # raises for invalid ones, before the first file
    options |= {**limits_of(args), "repair": args.repair, "parts": args.parts}
    if args.perfect and args.trim:
        raise ValueError("-perfect and -trim exclude each other")
    operations = [f"rotate_{args.rotate}"] if args.rotate else []
    operations += [f"flip_{args.flip}"] if args.flip else []
    operations += [name for name in ("transpose", "transverse", "auto") if getattr(args, name)]
    if len(operations) > 1:
        switches = ["-" + name.replace("_", " ") for name in operations]
        raise ValueError(f"use only one of {', '.join(switches)}")
    crop = _geometry(args.crop) if args.crop is not None else None
    operation: Any = operations[0] if operations else None
    if operation is None and crop is None and not args.grayscale:
        return lambda data, *_: optimize(data, copy=args.copy, **options)
    return lambda data, *_: transform(
        data, operation, crop=crop, trim=args.trim, grayscale=args.grayscale, copy=args.copy, **options
    )
