"""Fuzz the command line: random commands, switches, values, files and targets in a folder of their own.

    python packages/mozcodec/fuzz/commands.py                           # 10,000 cases
    python packages/mozcodec/fuzz/commands.py --cases 500 --seed 7
    python packages/mozcodec/fuzz/commands.py --cases 2000 --sanitized  # under ASan and UBSan

A failure is a traceback, an exit status other than 0, 1 and 2, an error without a text or one that names an option of
Python instead of a switch, a file that changed although it was no target, a target that is lost or not whole, or a
temporary file that is left. A case is a pure function of the seed and its number. The exit status is 1 if one failed.
"""

import argparse
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import mozcodec
from mozcodec import _cli
from mozcodec._files import pixels_from

sys.path.insert(0, str(Path(__file__).parent))  # tests load this file by its path, and -P leaves its folder out
import seeded

COMMANDS = ("encode", "decode", "optimize", "inspect", "identify", "forensics", "sweep", "tree", "nothing")
WEIGHTS = (6, 6, 6, 2, 1, 1, 1, 3, 0.3)
VALUES = (
    "0", "1", "2", "3", "8", "12", "50", "75", "75.5", "90,70", "100", "101", "-1", "-5", "1e9", "1e400", "nan",
    "inf", "x", "", " ", "8/8", "1/2", "3/8", "9/0", "16x16+0+0", "16x16+8+8", "999x999+0+0", "0x0+0+0", "2x2",
    "2x1,1x1", "1x1,1x1,1x1", "5x5", "4:2:0", "999999999999999999999", "10-30:10", "30-10:5", "10,x", "fast", "png",
    "ppm", "npy", ".PNG", "exe", "b8", "4B", "1,1", "0,1", "tables.txt", "scans.txt", "profile.icc", "gray.jpg",
    "missing.txt", ".", "é", "\ud83d\ude00", "x\0y",
)  # fmt: skip
FITS: dict[str, tuple[str, ...]] = {
    "threads": ("1", "2"), "dc_scan_opt": ("0", "1", "2"), "restart": ("1", "3B"), "scans": ("scans.txt",),
    "maxmemory": ("100M", "1", "60000"), "quant_table": ("0", "3", "8"), "qtables": ("tables.txt",),
    "qslots": ("0,1,1",), "sample": ("2x2", "1x1", "2x1", "4:2:0"), "smooth": ("0", "40"), "lambda1": ("12.5",),
    "lambda2": ("14",), "trellis_dc_ver_weight": ("1.5",), "precision": ("8", "12"), "lossless": ("1", "4,2"),
    "maxpixels": ("100", "99999"), "maxscans": ("1", "20"), "maxwork": ("9", "99999"), "maxmarkers": ("9", "99999"),
    "quality": ("30", "75.5", "90,60"), "distance": ("1", "3.5"), "ssimulacra2": ("60",), "effort": ("0", "1"),
    "scale": ("4", "8/8", "1/2"), "block": ("4", "8"), "icc": ("profile.icc",), "format": ("png", "npy"),
    "crop": ("16x16+0+0", "8x16+8+0"), "maps": ("folder", "fresh"), "qualities": ("30,60",), "scales": ("4,8",),
    "blocks": ("8", "4,8"), "out": ("folder",),
}  # fmt: skip
"""Values that the switches take."""
SOURCES = (
    "colour.png", "gray.jpg", "colour.jpg", "progressive.jpg", "colour.ppm", "gray.pgm", "deep.npy", "cut.jpg",
    "text.jpg", "empty.jpg", "text.txt", "spaced name é.jpg", "pictures", "nothing", ".", "-", "link.jpg",
    "dangling.jpg", "missing.png", "broken.png", "broken.npy", "broken.ppm", "cmyk.jpg", "lossless.jpg",
)  # fmt: skip
TARGETS = (
    "new.jpg", "new.jpg", "new.png", "new.ppm", "new.npy", "new", "new.xyz", "old.jpg", "old.png", "folder",
    "pictures", "-", "fresh/new.jpg", "fresh", "text.txt/new.jpg", "link.jpg", "colour.jpg", "gray.jpg", ".",
    "new.tif", "new.webp",
)  # fmt: skip
_PYTHON = sorted(
    set(mozcodec.EncodeOptions.__annotations__) | set(mozcodec.DecodeOptions.__annotations__)
    | {"apply_orientation", "on_truncated", "pixel_format", "dct_size", "max_pixels", "operation"}
)  # fmt: skip
_NAMES_PYTHON = re.compile(rf"\b(?:{'|'.join(_PYTHON)})\s*=|\b(?:{'|'.join(n for n in _PYTHON if '_' in n)})\b")


def _pixels() -> np.ndarray:
    y, x = np.mgrid[:24, :32]
    return np.dstack([x * 7, y * 9, (x + y) * 4]).astype(np.uint8)


def _files() -> dict[str, bytes]:
    pixels, plain = _pixels(), {"profile": "fastest", "progressive": False}
    cmyk = np.dstack([pixels, pixels[..., :1]])
    colour = mozcodec.encode(pixels, 80, exif=b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", **plain)
    deep = io.BytesIO()
    np.save(deep, pixels.astype(np.uint16) * 16)
    png = io.BytesIO()
    from PIL import Image

    Image.fromarray(pixels).save(png, "PNG")
    ppm = b"P6\n32 24\n255\n" + pixels.tobytes()
    png_bytes, scans = png.getvalue(), b"".join(b"%d: 0-63, 0, 0;\n" % i for i in range(3))
    return {
        "colour.png": png_bytes, "gray.jpg": mozcodec.encode(pixels[..., 0], 90, **plain), "colour.jpg": colour,
        "progressive.jpg": mozcodec.encode(pixels, 70), "colour.ppm": ppm,
        "gray.pgm": b"P5\n#\n32 24\n255\n" + pixels[..., 0].tobytes(), "deep.npy": deep.getvalue(),
        "cut.jpg": colour[: len(colour) * 2 // 3], "text.jpg": b"no image", "empty.jpg": b"", "text.txt": b"text",
        "spaced name é.jpg": colour, "broken.png": png_bytes[:60], "broken.npy": deep.getvalue()[:90],
        "broken.ppm": ppm[:99], "cmyk.jpg": mozcodec.encode(cmyk, 80, pixel_format="cmyk", **plain),
        "lossless.jpg": mozcodec.encode(pixels, lossless=1, profile="fastest"), "old.jpg": colour,
        "old.png": png_bytes, "pictures/a.jpg": colour, "pictures/b.png": png_bytes, "pictures/below/c.jpg": colour,
        "pictures/d.jpg": b"no image", "pictures/e.txt": b"text", "tables.txt": b"16 " * 64 + b"\n" + b"17 " * 64,
        "scans.txt": scans, "profile.icc": bytes(128),
    }  # fmt: skip


_FILES: dict[str, bytes] = {}


def _fill(folder: Path) -> None:
    _FILES.update(_FILES or _files())
    for name in ("folder", "nothing", "pictures/below"):
        (folder / name).mkdir(parents=True)
    for name, content in _FILES.items():
        (folder / name).write_bytes(content)
    (folder / "link.jpg").symlink_to("colour.jpg")
    (folder / "dangling.jpg").symlink_to("gone.jpg")


def _switches_of(command: str) -> list[argparse.Action]:
    parsers = next(a for a in _cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    chosen = parsers.choices.get(command)
    return [] if chosen is None else [one for one in chosen._actions if one.option_strings and one.dest != "help"]


def draw_case(seed: int, number: int) -> list[str]:
    """Return the words of the command line of case *number*."""
    rng = np.random.default_rng((seed, number))
    command = str(rng.choice(COMMANDS, p=np.array(WEIGHTS) / sum(WEIGHTS)))
    switches, words = _switches_of(command), []
    for _ in range(int(rng.choice([0, 1, 1, 2, 2, 3, 5]))):
        if not switches or rng.random() < 0.03:
            words.append(str(rng.choice(["-wrong", "--help", "-version", "-qualty", "-q", "90"])))
            continue
        action = switches[int(rng.integers(len(switches)))]
        words.append(str(rng.choice(action.option_strings)))
        if action.nargs != 0 and rng.random() < 0.97:
            fits = list(map(str, action.choices or FITS.get(action.dest, ()))) if rng.random() < 0.8 else []
            words.append(str(rng.choice(fits or VALUES)))
    good = SOURCES[: 7 if command == "encode" else 4] if command != "tree" else ("pictures", ".")
    names = [str(rng.choice(good if rng.random() < 0.6 else SOURCES))]
    if command in ("inspect", "identify", "forensics"):
        names += [str(name) for name in rng.choice(SOURCES, int(rng.integers(3)))]
    elif command != "sweep":
        names.append(str(rng.choice(TARGETS)))
    if rng.random() < 0.03:
        names = names[: int(rng.integers(2))]
    at = int(rng.integers(2)) * len(words)
    return [command, *words[:at], *names, *words[at:]]


@contextlib.contextmanager
def _streams(content: bytes) -> Iterator[tuple[io.TextIOWrapper, io.StringIO]]:
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", "replace"), io.StringIO()
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(content)), out, err  # type: ignore[assignment]
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def _is_whole(name: str, content: bytes) -> bool:
    if content[:2] == b"\xff\xd8":
        mozcodec.decode(content, None, smartscale=True)
        return True
    return bool(pixels_from(content, name).size)


def _check(words: list[str], status: Any, errors: str, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    assert status in (0, 1, 2), f"exit status {status!r}"
    assert "Traceback" not in errors, errors
    assert status == 0 or errors.strip(), "no text"
    named = _NAMES_PYTHON.search(errors)
    assert not named, f"names Python's {named and named[0]!r}: {errors.strip()}"
    assert not before.keys() - after.keys(), f"lost: {before.keys() - after.keys()}"
    for name in after:
        assert not name.endswith(".partial"), f"left: {name}"
        if before.get(name) != after[name]:
            assert name not in before or _is_target(name, words), f"{name} changed and was no target"
            assert _is_whole(name, after[name]), f"{name} is not whole"


def _is_target(name: str, words: list[str]) -> bool:
    targets = [word.removeprefix("./") for word in words if not word.startswith("-")]
    targets += ["colour.jpg"] if "link.jpg" in targets else []
    return name in targets or any(word in (".", "pictures", "folder", "fresh") for word in targets)


def run_case(seed: int, number: int) -> str:
    """Return the command and its exit status; raise AssertionError for a failure."""
    words = draw_case(seed, number)
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        _fill(folder)
        before = _contents(folder)
        with _streams(_FILES["colour.jpg"]) as (_, err):
            try:
                status = _cli.main(words)
            except SystemExit as left:
                status = left.code if left.code is not None else 0
        errors = err.getvalue()
        _check(words, status, errors, before, _contents(folder))
    return f"{words[0]} {status}"


def run(cases: int, seed: int) -> int:
    """Print what failed and how many cases had which result; return the number of failures."""
    return seeded.run(run_case, cases, seed, lambda seed, number: f", {draw_case(seed, number)}")


if __name__ == "__main__":
    sys.exit(seeded.main(__file__, __doc__, run))
