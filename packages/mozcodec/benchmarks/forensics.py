"""Error rates of mozcodec.forensics: encoder, quality, double compression and its maps.

    python forensics.py identify IMAGES... --out FILE
    python forensics.py double IMAGES... --out FILE [--chains single,aligned,crop,resize,half,encoders]
    python forensics.py alarms IMAGES... --out FILE
    python forensics.py pixels IMAGES... --out FILE
    python forensics.py splice IMAGES... --out FILE
    python forensics.py metadata JPEGS... --out FILE
    python forensics.py files JPEGS...

IMAGES are lossless files that were never a JPEG at their size (github.com/imazen/codec-corpus: ``kodak``, ``CID22``).
Encoders: what is installed of Pillow, OpenCV, ajpegli, pyvips, simplejpeg, ImageMagick's ``convert``, FFmpeg of
imageio-ffmpeg, and mozjpeg's own cjpeg (``--cjpeg PROGRAM``); what is missing is printed.

``identify`` writes a part of 64 x 64 pixels with every encoder at the qualities 1..100 and prints the rate at which the
family and the quality are right. ``double`` compresses the upper left 384 x 512 pixels once, and twice with the same
grid of blocks, cropped by 3 rows and 5 columns or made smaller in between; it prints the evidence of single
compressions and the detection rate at 1 % false alarms by pair of qualities. With ``encoders``, each other encoder is
the earlier one before Pillow, or the last one after Pillow. ``alarms`` compresses the upper left 384 x 512 pixels once,
and twice in a few ways, and prints how often `double_compression` says that there was an earlier compression: run it
on images on which no threshold was chosen (``CID22/CID22-512/validation``). ``pixels`` prints how often the quality of
a JPEG is found in its pixels, saved losslessly as they are, cropped or resized, and in images that never were one.
``splice`` pastes parts of another image
with another history and prints how well the maps of ``ghosts`` and ``grid`` find them, and their false alarms.
``metadata`` takes JPEG files of cameras and editors, as they are and changed without care for their metadata, and
prints how often ``metadata_report`` finds a contradiction. ``files`` prints what ``identify`` and ``metadata_report``
say of files that others made. All but ``files`` write a row for each file and resume after an interruption.
"""
# Over 600 lines: a script that runs alone, without modules of its own beside it.

import argparse
import csv
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mozcodec
from mozcodec import forensics

QUALITIES = tuple(range(1, 101))
EARLIER = (50, 65, 75, 85, 95)
LAST = (60, 75, 85, 95)
SCALES = tuple(range(1, 32))
DISTANCES = (3, 5, 10, 15, 20, 30, 50, 100)
CHAINS = ("single", "aligned", "crop", "resize", "half", "encoders")
FIRST_OF_OTHERS, LAST_OF_OTHERS = (60, 80), (75, 90)
OTHERS = ("OpenCV", "simplejpeg", "libvips", "ImageMagick", "jpegli", "FFmpeg")
SCALE_OF_QUALITY = {60: 8, 75: 5, 80: 4, 90: 2}
"""FFmpeg's -q:v instead of a quality: luma steps of about the same size at low frequencies."""
CJPEG: list[str] = []
"""The program that ``--cjpeg`` names."""


def pillow(image: np.ndarray, quality: int, **options: Any) -> bytes:
    """Return Pillow's JPEG."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


def _opencv(image: np.ndarray, quality: int) -> bytes:
    import cv2

    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _opencv_two(image: np.ndarray, quality: int) -> bytes:
    import cv2

    flags = [cv2.IMWRITE_JPEG_LUMA_QUALITY, quality, cv2.IMWRITE_JPEG_CHROMA_QUALITY, 101 - quality]
    return cv2.imencode(".jpg", image[..., ::-1], flags)[1].tobytes()


def _vips(image: np.ndarray, quality: int, **options: Any) -> bytes:
    import pyvips

    return bytes(pyvips.Image.new_from_array(image).jpegsave_buffer(Q=quality, **options))


CONVERT = ["convert", "{source}", "-quality", "{setting}", "{target}"]


def _ffmpeg() -> list[str]:
    import imageio_ffmpeg

    line = ["-y", "-i", "{source}", "-q:v", "{setting}", "-update", "1", "{target}"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *line]


def _by_command(image: np.ndarray, command: list[str], setting: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.jpg"
        Image.fromarray(image).save(source)
        filled = [part.format(source=source, target=target, setting=setting) for part in command]
        subprocess.run(filled, check=True, capture_output=True)
        return target.read_bytes()


def cjpeg(image: np.ndarray, *switches: object) -> bytes:
    """Return the JPEG of mozjpeg's own program."""
    height, width = image.shape[:2]
    ppm = b"P6\n%d %d\n255\n" % (width, height) + image.tobytes()
    return subprocess.run([*CJPEG, *map(str, switches)], input=ppm, check=True, capture_output=True).stdout


Encode = Callable[[np.ndarray, int], bytes]


def encoders() -> Iterator[tuple[str, str, tuple[int, ...], Encode, Callable[[int], tuple[int, ...]]]]:
    """Yield (name, family, settings, function, the quality of each component at a setting)."""

    def all_of(quality: int) -> tuple[int, ...]:
        return (quality,) * 3

    yield "Pillow", "libjpeg", QUALITIES, pillow, all_of
    yield "Pillow, optimized", "libjpeg", QUALITIES, lambda image, q: pillow(image, q, optimize=True), all_of
    yield "Pillow, progressive", "libjpeg", QUALITIES, lambda image, q: pillow(image, q, progressive=True), all_of
    if CJPEG:
        yield "mozjpeg's cjpeg", "mozjpeg", QUALITIES, lambda i, q: cjpeg(i, "-quality", q), all_of
        yield "cjpeg -baseline", "mozjpeg", QUALITIES, lambda i, q: cjpeg(i, "-quality", q, "-baseline"), all_of
        for table in (0, 1, 2, 4, 5, 6, 7, 8):
            yield (
                f"cjpeg -quant-table {table}", "mozjpeg", tuple(range(2, 101, 7)),
                _cjpeg_of_table(table), all_of,
            )  # fmt: skip
        yield (
            "cjpeg -quality luma,chroma", "mozjpeg", QUALITIES,
            lambda i, q: cjpeg(i, "-quality", f"{q},{101 - q}", "-quant-table", 2),
            lambda q: (q, 101 - q, 101 - q),
        )  # fmt: skip
    yield (
        "mozcodec, distance", "mozcodec", DISTANCES,
        lambda image, d: mozcodec.encode(image, distance=d / 10), lambda _: (),
    )  # fmt: skip
    if _has("cv2"):
        yield "OpenCV", "libjpeg", QUALITIES, _opencv, all_of
        yield "OpenCV, luma and chroma", "libjpeg", QUALITIES, _opencv_two, lambda q: (q, 101 - q, 101 - q)
    if _has("simplejpeg"):
        import simplejpeg

        yield "simplejpeg", "libjpeg", QUALITIES, lambda image, q: simplejpeg.encode_jpeg(image, q), all_of
    if _has("ajpegli"):
        import ajpegli

        yield "jpegli, quality", "jpegli", QUALITIES, lambda i, q: bytes(ajpegli.encode(i, quality=q)), lambda _: ()
        yield (
            "jpegli, distance", "jpegli", DISTANCES, lambda i, d: bytes(ajpegli.encode(i, distance=d / 10)),
            lambda _: (),
        )  # fmt: skip
    if _has("pyvips"):
        trellis = {"trellis_quant": True, "optimize_scans": True, "interlace": True, "quant_table": 3}
        yield "libvips", "libjpeg", QUALITIES, _vips, all_of
        yield "libvips, mozjpeg's options", "mozjpeg", QUALITIES, lambda i, q: _vips(i, q, **trellis), all_of
    if shutil.which("convert"):
        yield "ImageMagick", "libjpeg", QUALITIES, lambda i, q: _by_command(i, CONVERT, q), all_of
    if _has("imageio_ffmpeg"):
        yield "FFmpeg", "ffmpeg", SCALES, lambda i, q: _by_command(i, _ffmpeg(), q), lambda _: ()


def _cjpeg_of_table(table: int) -> Encode:
    return lambda image, quality: cjpeg(image, "-quality", quality, "-quant-table", table)


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def missing() -> list[str]:
    """Return the encoders that are not installed."""
    modules = ("cv2", "simplejpeg", "ajpegli", "pyvips", "imageio_ffmpeg")
    found = [name for name in modules if not _has(name)]
    return found + ["convert"] * (shutil.which("convert") is None) + ["cjpeg"] * (not CJPEG)


def _part(path: Path, height: int, width: int) -> np.ndarray:
    """Return the upper left part of an image, lying on its side if it is taller than wide."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    lying = pixels if pixels.shape[1] >= pixels.shape[0] else pixels.swapaxes(0, 1)
    return np.ascontiguousarray(lying[:height, :width])


def identify(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each encoder and setting."""
    image = _part(path, 64, 64)
    for name, family, settings, encode, qualities_of in encoders():
        for setting in settings:
            data = encode(image, setting)
            found = forensics.identify(data)
            qualities = tuple(one.quality for one in forensics.estimate_quality(data))
            wanted = qualities_of(setting)
            rest = [one.table_distance for one in found.candidates if one.family != found.family]
            inside: int | str = ""
            if name.endswith("distance") and found.distance is not None:
                inside = int(found.distance[0] * 0.999 <= setting / 10 <= found.distance[1] * 1.001)
            yield {
                "image": path.stem, "encoder": name, "family": family, "setting": setting,
                "found": found.family, "settings": found.settings, "next": f"{min(rest):.4f}",
                "quality_right": int(qualities == wanted) if wanted else inside,
            }  # fmt: skip


def chains(names: list[str]) -> Iterator[tuple[str, str, int | None, str, int]]:
    """Yield (what happens in between, earlier encoder, its quality or None, last encoder, its quality)."""
    for last in ("libjpeg", "mozjpeg", "mozjpeg without trellis"):
        for quality in LAST:
            if "single" in names:
                yield "single", "", None, last, quality
            for between in names:
                if between in ("single", "encoders") or (between in ("resize", "half") and last == LAST_PLAIN):
                    continue
                for earlier in ("libjpeg", "mozjpeg") if between == "aligned" and last != LAST_PLAIN else ("libjpeg",):
                    for first in EARLIER:
                        yield between, earlier, first, last, quality
    if "encoders" in names:
        for other in installed():
            for quality in LAST_OF_OTHERS:
                yield "single", "", None, other, quality
                for first in FIRST_OF_OTHERS:
                    yield "encoders", other, first, "libjpeg", quality
                    yield "encoders", "libjpeg", first, other, quality


def installed() -> list[str]:
    """Return those of OTHERS that are installed."""
    modules = {
        "OpenCV": "cv2", "simplejpeg": "simplejpeg", "libvips": "pyvips", "jpegli": "ajpegli",
        "FFmpeg": "imageio_ffmpeg",
    }  # fmt: skip
    return [name for name in OTHERS if (_has(modules[name]) if name in modules else shutil.which("convert"))]


LAST_PLAIN = "mozjpeg without trellis"


def _encode(encoder: str, image: np.ndarray, quality: int) -> bytes:
    if encoder == "libjpeg":
        return pillow(image, quality)
    if encoder in OTHERS:
        return _encode_by_other(encoder, image, quality)
    if encoder == "mozcodec":
        return mozcodec.encode(image, distance=quality / 10)
    plain = encoder == LAST_PLAIN
    if not CJPEG:
        return mozcodec.encode(image, quality, trellis_quant=not plain, trellis_quant_dc=not plain)
    return cjpeg(image, "-quality", quality, *(("-notrellis", "-notrellis-dc") if plain else ()))


def _encode_by_other(encoder: str, image: np.ndarray, quality: int) -> bytes:
    if encoder == "OpenCV":
        return _opencv(image, quality)
    if encoder == "simplejpeg":
        import simplejpeg

        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality))
    if encoder == "libvips":
        return _vips(image, quality)
    if encoder == "jpegli":
        import ajpegli

        return bytes(ajpegli.encode(np.ascontiguousarray(image), quality=quality))
    if encoder == "ImageMagick":
        return _by_command(image, CONVERT, quality)
    return _by_command(image, _ffmpeg(), SCALE_OF_QUALITY[quality])


def _between(pixels: np.ndarray, what: str) -> np.ndarray:
    if what == "crop":
        return np.ascontiguousarray(pixels[3:, 5:])
    if what in ("resize", "half"):
        tenths = 9 if what == "resize" else 5
        height, width = (size * tenths // 10 for size in pixels.shape[:2])
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    return pixels


def double(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each chain of one or two encoders."""
    image = _part(path, 384, 512)
    for between, earlier, first, last, quality in chains(SELECTED):
        pixels = image if first is None else mozcodec.decode(_encode(earlier, image, first))
        found = forensics.double_compression(_encode(last, _between(pixels, between), quality))
        yield {
            "image": path.stem, "between": between, "earlier": earlier, "first": first or "", "last": last,
            "quality": quality, "detected": int(found.detected), "evidence": f"{found.evidence:.5f}",
            "found": found.quality, "table": found.quant_table,
            "shifted": f"{found.shifted.evidence:.3f}", "offset": "{} {}".format(*found.shifted.offset),
            "shifted_quality": found.shifted.quality,
        }  # fmt: skip


ONCE = {
    "jpegli": (60, 75, 85, 90, 95), "libjpeg": (60, 75, 90, 95), "mozjpeg": (60, 75, 85, 95), "mozcodec": (10, 20),
}  # fmt: skip
"""Encoders and qualities of ``alarms``; tenths of a distance for mozcodec's perceptual mode."""
TWICE = (
    ("libjpeg", 60, "libjpeg", 75), ("libjpeg", 80, "libjpeg", 75), ("libjpeg", 70, "libjpeg", 90),
    ("libjpeg", 60, "mozjpeg", 75), ("libjpeg", 60, "jpegli", 75), ("libjpeg", 70, "jpegli", 90),
)  # fmt: skip


def alarms(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each encoder that compresses once, and each chain of two."""
    image = _part(path, 384, 512)

    def row(name: str, times: int, file: bytes) -> dict[str, Any]:
        found = forensics.double_compression(file)
        return {
            "image": path.stem, "name": name, "times": times, "evidence": f"{found.evidence:.4f}",
            "beyond_one": f"{found.evidence_beyond_one:.4f}", "detected": int(found.detected), "found": found.quality,
            "shifted": f"{found.shifted.evidence:.2f}", "shifted_detected": int(found.shifted.detected),
        }  # fmt: skip

    for encoder, settings in ONCE.items():
        if encoder == "jpegli" and not _has("ajpegli"):
            continue
        for setting in settings:
            once = _encode(encoder, image, setting)
            yield row(f"{encoder} {setting}", 1, once)
    for first, quality, last, again in TWICE:
        if "jpegli" in (first, last) and not _has("ajpegli"):
            continue
        before = np.asarray(mozcodec.decode(_encode(first, image, quality)))
        yield row(f"{first} {quality} -> {last} {again}", 2, _encode(last, before, again))


def alarms_table(rows: list[dict[str, str]]) -> str:
    """Return how often an earlier compression is found where there is none, and where there is one."""
    lines = ["| file | files | same grid | evidence alone | shifted grid |", "|---|---|---|---|---|"]
    once = [row for row in rows if row["times"] == "1"]
    groups = [("all encoders, once", once)]
    groups += [(f"{name}, once", [r for r in once if r["name"].split()[0] == name]) for name in ONCE]
    for name in dict.fromkeys(row["name"] for row in rows if row["times"] == "2"):
        groups.append((name, [row for row in rows if row["name"] == name]))
    for name, own in groups:
        alone = sum(float(row["evidence"]) >= forensics.THRESHOLD for row in own)
        same, shifted = (sum(int(row[key]) for row in own) for key in ("detected", "shifted_detected"))
        lines.append(f"| {name} | {len(own)} | {same} | {alone} | {shifted} |")
    return "\n".join(lines)


PIXEL_QUALITIES = (15, 30, 50, 75, 85, 90, 95)
PIXEL_CHANGES = ("as they are", "cropped by 8 x 16", "cropped by 3 x 5", "resized to 9/10", "resized to 1/2", "doubled")
MOST_FROM_PIXELS = 90
"""The highest quality that detector's ``predict`` takes from pixels."""


def pixels(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for the image as it is, and one for each encoder, quality and change of the decoded pixels."""
    image = _part(path, 384, 512)
    yield _pixels_row(path, "none", 0, "never a JPEG", image)
    for encoder in ("libjpeg", "mozjpeg"):
        for quality in PIXEL_QUALITIES:
            decoded = Image.fromarray(mozcodec.decode(_encode(encoder, image, quality)))
            width, height = decoded.size
            for change in PIXEL_CHANGES:
                changed = decoded
                if change.startswith("cropped"):
                    down, right = (int(word) for word in change.split()[2::2])
                    changed = decoded.crop((right, down, width, height))
                elif change != PIXEL_CHANGES[0]:
                    tenths = {"resized to 9/10": 9, "resized to 1/2": 5, "doubled": 20}[change]
                    size = (width * tenths // 10, height * tenths // 10)
                    changed = decoded.resize(size, Image.Resampling.LANCZOS)
                yield _pixels_row(path, encoder, quality, change, np.asarray(changed))


def _pixels_row(path: Path, encoder: str, quality: int, change: str, image: np.ndarray) -> dict[str, Any]:
    """As `estimated` in detector/answer/condition.py."""
    file = mozcodec.encode(np.ascontiguousarray(image), 100, subsampling="4:4:4", profile="fastest")
    found = forensics.double_compression(file)
    stated = found.detected and found.quality <= MOST_FROM_PIXELS
    return {
        "image": path.stem, "encoder": encoder, "quality": quality, "change": change, "stated": int(stated),
        "found": found.quality, "right": int(stated and abs(found.quality - quality) <= 2),
    }  # fmt: skip


def pixels_table(rows: list[dict[str, str]]) -> str:
    """Return "right, stated/files" by change, encoder and quality."""
    titles = " | ".join(map(str, PIXEL_QUALITIES))
    lines = [f"| pixels | encoder | {titles} |", "|---" * (len(PIXEL_QUALITIES) + 2) + "|"]
    for change in PIXEL_CHANGES:
        for encoder in ("libjpeg", "mozjpeg"):
            cells = []
            for quality in PIXEL_QUALITIES:
                wanted = (change, encoder, str(quality))
                own = [row for row in rows if (row["change"], row["encoder"], row["quality"]) == wanted]
                right, stated = (sum(int(row[key]) for row in own) for key in ("right", "stated"))
                cells.append(f"{right}, {stated}/{len(own)}")
            lines.append(f"| {change} | {encoder} | {' | '.join(cells)} |")
    never = [row for row in rows if row["encoder"] == "none"]
    return "\n".join([*lines, "", f"never a JPEG: {sum(int(row['stated']) for row in never)}/{len(never)} stated"])


SELECTED: list[str] = list(CHAINS)
"""The chains that ``--chains`` names."""
SPLICES = (
    ("none", None, None, 75), ("none", None, None, 90), ("none", 70, None, 90), ("none moved", 70, None, 90),
    ("aligned", 70, None, 90), ("aligned", None, 70, 90), ("aligned", 60, 85, 90), ("aligned", 60, None, 75),
    ("moved", None, 70, 90), ("moved", 75, 75, 90), ("moved", 75, None, 90), ("moved", None, 85, 95),
)  # fmt: skip
"""Where the part lies; qualities of the earlier compression of the image and of the part, None if there is none; last
quality. "aligned": on the grid of the file; "moved": not."""


def splice(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each splice of a part of the next image of the folder, 128 x 160 pixels, and each map."""
    image = _part(path, 499, 741)
    folder = sorted(path.parent.glob("*.png"))
    other = _part(folder[(folder.index(path) + 1) % len(folder)], 499, 741)
    rng = np.random.default_rng(int.from_bytes(path.stem.encode()[:7], "big"))
    for kind, first, patched, last in SPLICES:
        back = image if first is None else mozcodec.decode(pillow(image, first))
        back = np.ascontiguousarray(back[3:, 5:] if "moved" in kind else back).copy()
        top, left = (8 * int(rng.integers(2, (n - 176) // 8)) for n in back.shape[:2])
        mask = np.zeros(back.shape[:2], bool)
        if not kind.startswith("none"):
            source = other if patched is None else mozcodec.decode(pillow(other, patched))
            down = 64 if kind == "aligned" else 65
            back[top : top + 128, left : left + 160] = source[down : down + 128, 98 if down == 65 else 96 :][:, :160]
            mask[top : top + 128, left : left + 160] = True
        data = pillow(back, last)
        for name, found in (("ghosts", forensics.ghosts(data)), ("grid", forensics.grid(data))):
            values, region = (_by_pixel(m, found.side, mask.shape) for m in (found.evidence, found.region))
            row: dict[str, Any] = {
                "image": path.stem, "kind": kind, "first": first or "", "patched": patched or "", "last": last,
                "map": name, "largest": f"{found.evidence.max():.2f}", "detected": int(found.region.any()),
                "auc": "", "iou": "", "difference_auc": "",
            }  # fmt: skip
            if mask.any():
                row["auc"] = f"{_auc(values, mask):.4f}"
                row["iou"] = f"{(region & mask).sum() / (region | mask).sum():.4f}"
            if mask.any() and isinstance(found, forensics.Ghosts):
                areas = [_auc(1 - _by_pixel(one, found.side, mask.shape), mask) for one in found.differences]
                row["difference_auc"] = f"{max(areas):.4f}"
            yield row


def _by_pixel(values: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    rows = np.minimum(np.arange(shape[0]) // side, values.shape[0] - 1)
    columns = np.minimum(np.arange(shape[1]) // side, values.shape[1] - 1)
    return np.asarray(values[rows[:, None], columns])


def _auc(values: np.ndarray, mask: np.ndarray) -> float:
    """Return the area under the ROC curve by pixel: Mann and Whitney's U with mean ranks for ties."""
    _, of, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[of.ravel()]
    inside = mask.ravel()
    positive = int(inside.sum())
    return float((ranks[inside].sum() - positive * (positive + 1) / 2) / (positive * (inside.size - positive)))


CHANGES = ("as it is", "saved again", "halved", "cropped", "turned", "mirrored", "other image")
"""What a careless program does before it saves the pixels with the EXIF data of the original."""
MOST_PIXELS = 4_000_000


def metadata(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for the JPEG file as it is, and one for each change of its pixels if it has EXIF data of a camera."""
    try:
        data = path.read_bytes()
        report, found = forensics.metadata_report(data), forensics.identify(data)
    except mozcodec.JpegError as error:
        yield _metadata_row(path, "as it is", None, error=f"{type(error).__name__}: {error}")
        return
    yield _metadata_row(path, "as it is", report, found)
    exif = mozcodec.read_header(data).metadata.exif
    if not report.exif.get("Make") or exif is None or report.width * report.height > MOST_PIXELS:
        return
    try:
        image = Image.fromarray(mozcodec.decode(data, "rgb"))
    except mozcodec.JpegError:
        return
    for change in CHANGES[1:]:
        out = io.BytesIO()
        # Pillow writes EXIF as given
        _changed(image, change).save(out, "JPEG", quality=90, exif=b"Exif\0\0" + exif)
        yield _metadata_row(path, change, forensics.metadata_report(out.getvalue()))


def _changed(image: Image.Image, change: str) -> Image.Image:
    width, height = image.size
    if change == "halved":
        return image.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.LANCZOS)
    if change == "cropped":
        return image.crop((width // 4, height // 4, width, height))
    if change == "turned":
        return image.transpose(Image.Transpose.ROTATE_90)
    if change == "mirrored":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if change == "other image":  # a smooth pattern of the same size, as no other photograph is at hand
        rng = np.random.default_rng(width * 65537 + height)
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        return small.resize(image.size, Image.Resampling.BICUBIC)
    return image


def _metadata_row(
    path: Path, change: str, report: Any, found: Any = None, error: str = ""
) -> dict[str, Any]:
    thumbnail = report and report.thumbnail and report.thumbnail.similarity is not None
    exif = report.exif if report else {}
    return {
        "image": str(path), "change": change, "make": exif.get("Make", ""),
        "photoshop": int(bool(report and any("photoshop" in name.lower() for name in report.software))),
        "thumbnail": int(bool(thumbnail)), "size": int(bool(exif.get("PixelXDimension"))),
        "found": " ".join(sorted({one.subject for one in report.contradictions})) if report else "",
        "family": f"{found.family}{' (doubtful)' * found.doubtful}" if found else "", "error": error,
    }  # fmt: skip


def metadata_table(rows: list[dict[str, str]]) -> str:
    """Return how often a contradiction is found by what happened to the file, and the families of the tables."""
    read = [row for row in rows if not row["error"]]
    lines = ["| file | files | any contradiction | thumbnail | size | other |", "|---|---|---|---|---|---|"]
    first = {row["image"] for row in read if row["change"] != "as it is"}
    groups = [("as it is, all", [row for row in read if row["change"] == "as it is"])]
    groups += [(change, [r for r in read if r["change"] == change and r["image"] in first]) for change in CHANGES]
    for name, own in groups:
        subjects = [row["found"].split() for row in own]
        by = {
            what: f"{sum(what in one for one in subjects)}/{sum(int(row[what]) for row in own)}"
            for what in ("thumbnail", "size")
        }
        other = sorted({what for one in subjects for what in one} - {"thumbnail", "size"})
        counts = ", ".join(f"{sum(what in one for one in subjects)} {what}" for what in other)
        lines.append(
            f"| {name} | {len(own)} | {sum(map(bool, subjects))} | {by['thumbnail']} | {by['size']} | {counts or '-'} |"
        )
    lines += ["", "| written by | files | family of the tables |", "|---|---|---|"]
    whole = [row for row in read if row["change"] == "as it is"]
    edited = [row for row in whole if row["photoshop"] == "1"]
    cameras = [row for row in whole if row["photoshop"] == "0" and row["make"]]
    rest = [row for row in whole if row["photoshop"] == "0" and not row["make"]]
    for name, own in (("Photoshop", edited), ("cameras and phones", cameras), ("no maker named", rest)):
        families = [row["family"] for row in own]
        counts = ", ".join(f"{families.count(one)} {one}" for one in sorted(set(families), key=families.count)[::-1])
        lines.append(f"| {name} | {len(own)} | {counts} |")
    wrong = [row for row in rows if row["error"]]
    return "\n".join([*lines, "", f"{len(wrong)} files are no readable JPEG."])


WORK: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "identify": identify, "double": double, "alarms": alarms, "pixels": pixels, "splice": splice, "metadata": metadata,
}  # fmt: skip


def measure(verb: str, paths: list[Path], table: Path) -> list[dict[str, str]]:
    """Append the rows of the images that *table* lacks; return all rows."""
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    done = {row["image"] for row in rows}
    for path in paths:
        if path.stem in done or str(path) in done:
            continue
        found = list(WORK[verb](path))
        with table.open("a", newline="") as lines:
            writer = csv.DictWriter(lines, list(found[0]))
            if lines.tell() == 0:
                writer.writeheader()
            writer.writerows(found)
        print(path.name, file=sys.stderr, flush=True)
    return list(csv.DictReader(table.open()))


def identification_table(rows: list[dict[str, str]]) -> str:
    """Return the table of identification rates."""
    lines = [
        "| encoder | files | family right | quality or distance right | distance to the next family, median (lowest) "
        "| confused with |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["encoder"] for row in rows):
        own = [row for row in rows if row["encoder"] == name]
        wrong = [row["found"] for row in own if row["found"] != row["family"]]
        qualities = [row["quality_right"] for row in own if row["quality_right"]]
        rate = f"{qualities.count('1')}/{len(qualities)}" if qualities else "-"
        confused = ", ".join(f"{wrong.count(what)} x {what}" for what in sorted(set(wrong)))
        apart = [float(row["next"]) for row in own]
        lines.append(
            f"| {name} | {len(own)} | {len(own) - len(wrong)}/{len(own)} | {rate} | "
            f"{np.median(apart):.3f} ({min(apart):.3f}) | {confused or '-'} |"
        )
    return "\n".join(lines)


def detection_tables(rows: list[dict[str, str]]) -> str:
    """Return the evidence of single compressions, and detection rates by pair of qualities."""
    lines = []
    for last in dict.fromkeys(row["last"] for row in rows):
        if last in OTHERS:
            continue
        mine = [row for row in rows if row["last"] == last]
        for column, shipped, kinds in (
            ("evidence", forensics.THRESHOLD, ("aligned", "resize", "half")),
            ("shifted", forensics.SHIFTED_THRESHOLD, ("crop", "resize", "half")),
        ):
            once = np.array([float(row[column]) for row in mine if row["between"] == "single"])
            level = shipped
            if once.size:
                level = float(np.quantile(once, 0.99))
                lines.append(
                    f"Last encoder {last}, {column}: {once.size} single compressions, 99 % quantile {level:.3f}, "
                    f"largest {once.max():.3f}; {int((once >= shipped).sum())} at or above {shipped}.\n"
                )
            for kind in kinds:
                for earlier in dict.fromkeys(row["earlier"] for row in mine if row["between"] == kind):
                    lines += _pairs([r for r in mine if r["between"] == kind and r["earlier"] == earlier],
                                    f"{earlier} -> {kind} -> {last}, {column}", column, level)  # fmt: skip
    return "\n".join([*lines, *_other_encoders(rows)])


def _other_encoders(rows: list[dict[str, str]]) -> list[str]:
    """Return the table of chains with the other encoders, at the threshold of `double_compression` itself."""
    pairs = [(first, last) for first in FIRST_OF_OTHERS for last in LAST_OF_OTHERS]
    titles = " | ".join(f"{first} -> {last}" for first, last in pairs)
    lines = [f"| other encoder | false alarms | where | {titles} |", "|---" * (len(pairs) + 3) + "|"]
    for other in OTHERS:
        once = [row for row in rows if row["between"] == "single" and row["last"] == other]
        alarms = sum(_alarm(row) for row in once)
        for where, earlier, last in (("before", other, "libjpeg"), ("after", "libjpeg", other)):
            own = [r for r in rows if (r["between"], r["earlier"], r["last"]) == ("encoders", earlier, last)]
            if not own:
                continue
            cells = []
            for pair in pairs:
                found = [r for r in own if (r["first"], r["quality"]) == tuple(map(str, pair))]
                hits = [r for r in found if r["detected"] == "1"]
                near = sum(abs(int(r["found"]) - pair[0]) <= 1 for r in hits)
                right = "" if earlier in ("jpegli", "FFmpeg") else f" ({near})"  # they have no such quality
                cells.append(f"{len(hits)}/{len(found)}{right}")
            counted = f"{alarms}/{len(once)}" if where == "after" else ""
            lines.append(f"| {other} | {counted} | {where} Pillow | " + " | ".join(cells) + " |")
    return lines if len(lines) > 2 else []


def _alarm(row: dict[str, str]) -> bool:
    return row["detected"] == "1" or float(row["shifted"]) >= forensics.SHIFTED_THRESHOLD


def _pairs(rows: list[dict[str, str]], title: str, column: str, level: float) -> list[str]:
    """Return "detected, found/files (quality right)" by pair: the library's decision, then evidence from *level* on."""
    lines = [f"| {title} | " + " | ".join(str(q) for q in LAST) + " |", "|---" * (len(LAST) + 1) + "|"]
    found = "found" if column == "evidence" else "shifted_quality"
    for first in EARLIER:
        cells = []
        for quality in LAST:
            own = [row for row in rows if (row["first"], row["quality"]) == (str(first), str(quality))]
            there = [row for row in own if _is_there(row, column)]
            hits = [row for row in there if float(row[column]) >= level]
            near = [row for row in hits if abs(int(row[found]) - first) <= 1]
            detected = sum(
                row["detected"] == "1" if column == "evidence" else float(row[column]) >= forensics.SHIFTED_THRESHOLD
                for row in there
            )
            cells.append(f"{detected}, {len(hits)}/{len(own)} ({len(near)})" if own else "-")
        lines.append(f"| {first} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _is_there(row: dict[str, str], column: str) -> bool:
    """Whether the grid is the one that the image was cropped to."""
    return column == "evidence" or row["between"] != "crop" or row["offset"] == "5 3"


def splice_table(rows: list[dict[str, str]]) -> str:
    """Return how well the parts are found, and how often a part is found where there is none."""
    lines = [
        "| part | image before | part before | last | images | map | AUC | differences' AUC | IoU | detected "
        "| largest evidence |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in SPLICES:
        for name in ("ghosts", "grid"):
            wanted = (name, *(str(value or "") for value in case))
            own = [r for r in rows if (r["map"], r["kind"], r["first"], r["patched"], r["last"]) == wanted]
            if not own:
                continue
            means = [
                f"{np.median([float(r[column]) for r in own]):.3f}" if own[0][column] else "-"
                for column in ("auc", "difference_auc", "iou")
            ]
            found = sum(int(r["detected"]) for r in own)
            largest = max(float(r["largest"]) for r in own)
            words = [*(str(value or "-") for value in case), str(len(own)), name, *means]
            lines.append(f"| {' | '.join(words)} | {found}/{len(own)} | {largest:.1f} |")
    return "\n".join(lines)


def files(paths: list[Path]) -> str:
    """Return what is said of files that others made."""
    lines = ["| file | family | nearest (distance), next (distance) | quality | thumbnail | contradictions |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for path in paths:
        try:
            found, report = forensics.identify(path), forensics.metadata_report(path)
        except mozcodec.JpegError as error:
            lines.append(f"| {path.name} | {type(error).__name__}: {error} | | | | |")
            continue
        near = ", ".join(f"{c.family} {c.settings} ({c.table_distance:.3f})" for c in found.candidates[:2])
        qualities = ", ".join(str(one.quality) for one in forensics.estimate_quality(path))
        thumbnail = "" if report.thumbnail is None else str(report.thumbnail.similarity)[:5]
        subjects = ", ".join(one.subject for one in report.contradictions)
        lines.append(f"| {path.name} | {found.family} | {near} | {qualities} | {thumbnail} | {subjects} |")
    return "\n".join(lines)


TABLES = {
    "identify": identification_table, "double": detection_tables, "alarms": alarms_table, "pixels": pixels_table,
    "splice": splice_table, "metadata": metadata_table,
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=(*WORK, "files"))
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="CSV file of all rows; continued if it exists")
    parser.add_argument("--cjpeg", help="mozjpeg's own program")
    parser.add_argument("--chains", default=",".join(CHAINS), help=f"of {', '.join(CHAINS)}")
    args = parser.parse_args()
    if args.verb == "files":
        print(files(args.images))
        return
    if args.out is None:
        parser.error("--out names the file of the rows")
    SELECTED[:] = args.chains.split(",")
    CJPEG[:] = [args.cjpeg] if args.cjpeg else []
    rows = measure(args.verb, args.images, args.out)
    print(f"{len({row['image'] for row in rows})} images; not installed: {', '.join(missing()) or 'nothing'}\n")
    print(TABLES[args.verb](rows))


if __name__ == "__main__":
    main()
