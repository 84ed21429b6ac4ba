"""Error rates of mozcodec.forensics: the encoder of a file, its quality, and double compression.

    python forensics.py identify IMAGES... --out FILE
    python forensics.py double IMAGES... --out FILE [--processes N]

IMAGES are lossless files that were never a JPEG at their size (github.com/imazen/codec-corpus: ``kodak``, ``CID22``).
``identify`` writes the upper left 256 x 256 pixels with every encoder that is installed (Pillow, OpenCV, mozcodec,
ajpegli, pyvips, simplejpeg, ImageMagick's ``convert``, FFmpeg of imageio-ffmpeg) and prints the rate at which the
family and the quality are right. ``double`` compresses the upper left 384 x 512 pixels once and twice with libjpeg
(Pillow) or mozjpeg and prints the false alarms and the detection rate by pair of qualities; in brackets how many of the
detected files have the earlier quality within 1. Both write one row for each file and resume after an interruption.
"""

import argparse
import csv
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mozcodec
from mozcodec import forensics

QUALITIES = (1, 5, 10, 20, 35, 50, 65, 75, 80, 85, 90, 93, 95, 97, 99, 100)
EARLIER = (50, 65, 75, 85, 95)
LAST = (60, 75, 85, 95)
SCALES = (2, 5, 12, 31)


def pillow(image: np.ndarray, quality: int, **options: Any) -> bytes:
    """Return Pillow's JPEG."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


def _opencv(image: np.ndarray, quality: int) -> bytes:
    import cv2

    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _vips(image: np.ndarray, quality: int, **options: Any) -> bytes:
    import pyvips

    return bytes(pyvips.Image.new_from_array(image).jpegsave_buffer(Q=quality, **options))


def _by_command(image: np.ndarray, command: list[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.jpg"
        Image.fromarray(image).save(source)
        filled = [part.format(source=source, target=target) for part in command]
        subprocess.run(filled, check=True, capture_output=True)
        return target.read_bytes()


def encoders() -> Iterator[tuple[str, str, tuple[int, ...], Callable[[np.ndarray, int], bytes]]]:
    """Yield (name, family, settings, function)."""
    yield "Pillow", "libjpeg", QUALITIES, pillow
    yield "Pillow, optimized", "libjpeg", QUALITIES, lambda image, q: pillow(image, q, optimize=True)
    yield "Pillow, progressive", "libjpeg", QUALITIES, lambda image, q: pillow(image, q, progressive=True)
    yield "mozcodec (cjpeg's bytes)", "mozjpeg", QUALITIES, lambda image, q: mozcodec.encode(image, q)
    yield "mozcodec, baseline", "mozjpeg", QUALITIES, lambda image, q: mozcodec.encode(image, q, progressive=False)
    yield "mozcodec, tables 0", "mozjpeg", QUALITIES, lambda image, q: mozcodec.encode(image, q, quant_table=0)
    yield "mozcodec, distance", "mozcodec", (5, 10, 20, 40), lambda image, d: mozcodec.encode(image, distance=d / 10)
    if importlib.util.find_spec("cv2"):
        yield "OpenCV", "libjpeg", QUALITIES, _opencv
    if importlib.util.find_spec("simplejpeg"):
        import simplejpeg

        yield "simplejpeg", "libjpeg", QUALITIES, lambda image, q: simplejpeg.encode_jpeg(image, q)
    if importlib.util.find_spec("ajpegli"):
        import ajpegli

        yield "jpegli", "jpegli", QUALITIES, lambda image, q: bytes(ajpegli.encode(image, quality=q))
        yield "jpegli, distance", "jpegli", (5, 10, 20, 40), lambda i, d: bytes(ajpegli.encode(i, distance=d / 10))
    if importlib.util.find_spec("pyvips"):
        trellis = {"trellis_quant": True, "optimize_scans": True, "interlace": True, "quant_table": 3}
        yield "libvips", "libjpeg", QUALITIES, _vips
        yield "libvips, mozjpeg's options", "mozjpeg", QUALITIES, lambda image, q: _vips(image, q, **trellis)
    if shutil.which("convert"):
        yield (
            "ImageMagick",
            "libjpeg",
            QUALITIES,
            lambda image, q: _by_command(image, ["convert", "{source}", "-quality", str(q), "{target}"]),
        )
    if importlib.util.find_spec("imageio_ffmpeg"):
        import imageio_ffmpeg

        program = imageio_ffmpeg.get_ffmpeg_exe()
        yield (
            "FFmpeg",
            "ffmpeg",
            SCALES,
            lambda image, q: _by_command(
                image, [program, "-y", "-i", "{source}", "-q:v", str(q), "-update", "1", "{target}"]
            ),
        )


def identify(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each encoder and setting."""
    image = np.asarray(Image.open(path).convert("RGB"))[:256, :256]
    for name, family, settings, encode in encoders():
        for setting in settings:
            data = encode(image, setting)
            found = forensics.identify(data)
            qualities = [one.quality for one in forensics.estimate_quality(data)]
            right = family in ("libjpeg", "mozjpeg") and set(qualities) == {setting}
            yield {
                "image": path.stem, "encoder": name, "family": family, "setting": setting,
                "found": found.family, "settings": found.settings,
                "quality_right": int(right) if family in ("libjpeg", "mozjpeg") else "",
            }  # fmt: skip


def chains() -> Iterator[tuple[str, int | None, str, int]]:
    """Yield (earlier encoder, its quality or None, last encoder, its quality)."""
    for last in ("libjpeg", "mozjpeg"):
        for quality in LAST:
            yield "", None, last, quality
            for earlier in ("libjpeg", "mozjpeg"):
                for first in EARLIER:
                    yield earlier, first, last, quality


def _encode(encoder: str, image: np.ndarray, quality: int) -> bytes:
    return mozcodec.encode(image, quality) if encoder == "mozjpeg" else pillow(image, quality)


def double(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each chain of one or two encoders."""
    image = np.asarray(Image.open(path).convert("RGB"))[:384, :512]
    for earlier, first, last, quality in chains():
        pixels = image if first is None else mozcodec.decode(_encode(earlier, image, first))
        found = forensics.double_compression(_encode(last, pixels, quality))
        yield {
            "image": path.stem, "earlier": earlier, "first": first or "", "last": last, "quality": quality,
            "evidence": f"{found.evidence:.5f}", "found": found.quality, "table": found.quant_table,
        }  # fmt: skip


WORK = {"identify": identify, "double": double}


def _rows(task: tuple[str, Path]) -> list[dict[str, Any]]:
    return list(WORK[task[0]](task[1]))


def measure(verb: str, paths: list[Path], table: Path, processes: int) -> list[dict[str, str]]:
    """Append the rows of the images that *table* lacks; return all rows."""
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    done = {row["image"] for row in rows}
    tasks = [(verb, path) for path in paths if path.stem not in done]
    with ProcessPoolExecutor(processes) as pool:
        for number, found in enumerate(pool.map(_rows, tasks)):
            with table.open("a", newline="") as lines:
                writer = csv.DictWriter(lines, list(found[0]))
                if lines.tell() == 0:
                    writer.writeheader()
                writer.writerows(found)
            print(f"{number + 1}/{len(tasks)} {tasks[number][1].name}", file=sys.stderr, flush=True)
    return list(csv.DictReader(table.open()))


def identification_table(rows: list[dict[str, str]]) -> str:
    """Return the table of identification rates."""
    lines = ["| encoder | files | family right | quality right | confused with |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["encoder"] for row in rows):
        own = [row for row in rows if row["encoder"] == name]
        wrong = [f"{row['found']} ({row['setting']})" for row in own if row["found"] != row["family"]]
        qualities = [row["quality_right"] for row in own if row["quality_right"]]
        rate = f"{qualities.count('1')}/{len(qualities)}" if qualities else "-"
        confused = ", ".join(f"{count} x {what}" for what, count in sorted({w: wrong.count(w) for w in wrong}.items()))
        lines.append(f"| {name} | {len(own)} | {len(own) - len(wrong)}/{len(own)} | {rate} | {confused or '-'} |")
    return "\n".join(lines)


def detection_tables(rows: list[dict[str, str]]) -> str:
    """Return false alarms, and detection rates by pair of qualities."""
    level, lines = forensics.THRESHOLD, []
    for last in ("libjpeg", "mozjpeg"):
        once = np.array([float(row["evidence"]) for row in rows if row["last"] == last and not row["first"]])
        alarms, top = int((once >= level).sum()), float(np.quantile(once, 0.99))
        share = f"{alarms} of {once.size} single compressions at or above {level}"
        lines.append(f"Last encoder {last}: {share}; 99 % quantile {top:.3f}.\n")
        for earlier in ("libjpeg", "mozjpeg"):
            lines.append(f"| {earlier} -> {last} | " + " | ".join(str(q) for q in LAST) + " |")
            lines.append("|---" * (len(LAST) + 1) + "|")
            for first in EARLIER:
                cells = []
                for quality in LAST:
                    own = [
                        row for row in rows
                        if (row["earlier"], row["first"], row["last"], row["quality"])
                        == (earlier, str(first), last, str(quality))
                    ]  # fmt: skip
                    hits = [row for row in own if float(row["evidence"]) >= level]
                    near = [row for row in hits if abs(int(row["found"]) - first) <= 1]
                    cells.append(f"{len(hits) / len(own):.2f} ({len(near)}/{len(hits)})" if own else "-")
                lines.append(f"| {first} | " + " | ".join(cells) + " |")
            lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=tuple(WORK))
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="CSV file of all rows; continued if it exists")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    rows = measure(args.verb, args.images, args.out, args.processes)
    print(f"{len({row['image'] for row in rows})} images\n")
    print(identification_table(rows) if args.verb == "identify" else detection_tables(rows))


if __name__ == "__main__":
    main()
