"""Inputs made to exhaust memory, stack or time: huge images, deep documents, tables that unpack to gigabytes."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from . import Case, family
from .every_stage import SECONDS, bench, judged
from .stages import STAGES, Stage

PEAK = 2048.0  # MiB that a command may use, the libraries included


@family(
    "bombs",
    f"small files made to exhaust memory, stack or time: refused by name, at most {PEAK:.0f} MiB and {SECONDS:.0f} s",
)
def bombs(seed: int, sample: Path) -> Iterator[Case]:  # noqa: ARG001 (they are the same for every seed)
    """Images of huge sizes, deep and self-referring documents, tables that unpack to gigabytes."""
    for title, name, content in (
        ("60000 x 60000 pixels", "image.png", partial(png_of, 60000, 60000)),
        ("2^31 x 2^31 pixels", "image.png", partial(png_of, (1 << 31) - 1, (1 << 31) - 1)),
        ("65500 x 65500 pixels", "image.png", partial(jpeg_of, 65500, 65500)),
        ("a billion zeros", "video.mp4", partial(sparse, 1 << 30)),
        ("sizes of 2^63", "video.mp4", lambda: struct.pack(">I4sQ", 1, b"moov", (1 << 63) - 1) * 20),
    ):
        yield Case(f"predict: {name}: {title}", partial(_bomb, sample, STAGES["predict"], name, content))
    for stage, name in (
        ("faces", "data/dataset.json"),
        ("faces", "data/splits/train.json"),
        ("compress", "out/faces/summary.json"),
        ("train", "out/faces/summary.json"),
        ("score", "out/train/model.json"),
        ("explain", "out/train/model.json"),
        ("predict", "out/train/model.json"),
        ("evaluate", "out/scores.json"),
        ("report", "out/metrics.json"),
        ("report", "out/fidelity.json"),
        ("report", "out/audit/audit.json"),
    ):
        for title, content in (
            ("100,000 open brackets", lambda: b"[" * 100_000),
            ("50,000 objects in each other", lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
            ("a number of a million digits", lambda: b'{"a": ' + b"9" * 1_000_000 + b"}"),
        ):
            yield Case(f"{stage}: {name}: {title}", partial(_bomb, sample, STAGES[stage], name, content))
    for stage in ("faces", "train", "score", "predict"):
        for title, content in (
            ("100,000 open brackets", lambda: b"faces: " + b"[" * 100_000),
            ("3,000 indentations", lambda: b"".join(b" " * i + b"a:\n" for i in range(3000))),
            ("aliases of aliases", aliases),
        ):
            yield Case(f"{stage}: params.yaml: {title}", partial(_bomb, sample, STAGES[stage], "params.yaml", content))
    for title, content in (
        ("gzip, 4 GiB of one line", partial(gzip_of, 4 << 30, b"")),
        ("gzip, a gigabyte of short lines", partial(gzip_of, 1 << 30, b"1,1\n")),
        ("ZIP", lambda: b"PK\x03\x04" + bytes(1000)),
        ("zstd, 4 GiB of one line", zstd_of),
        ("a gigabyte of zeros", partial(sparse, 1 << 30)),
        ("a pickle that runs code", lambda: b"cos\nsystem\n(S'touch pwned'\ntR."),
    ):
        yield Case(
            f"evaluate: out/scores.csv: {title}", partial(_bomb, sample, STAGES["evaluate"], "out/scores.csv", content)
        )
    for title, content in (
        ("header of 2^60 bytes", lambda: struct.pack("<Q", 1 << 60) + b"{}"),
        ("tensor of 2^60 numbers", partial(tensors_of, 1 << 60)),
        ("deep header", lambda: struct.pack("<Q", 100_000) + b"[" * 100_000),
    ):
        for stage in ("score", "explain", "predict"):
            yield Case(
                f"{stage}: weights.safetensors: {title}",
                partial(_bomb, sample, STAGES[stage], "out/train/weights.safetensors", content),
            )


def _bomb(sample: Path, stage: Stage, name: str, content: Callable[[], bytes | int], folder: Path) -> str:
    here = bench(sample)
    here.place(stage, folder)
    made = content()
    if isinstance(made, int):  # of a sparse file
        with (folder / name).open("wb") as file:
            file.truncate(made)
    else:
        (folder / name).write_bytes(made)
    result = here.run(stage, folder, seconds=SECONDS)
    if result.peak > PEAK:
        return f"took {result.peak:.0f} MiB"
    if (folder / "pwned").exists():
        return "code in the file was run"
    if result.code == 0:
        return "accepted"
    return judged(here, stage, folder, result, (Path(name).name,), free=False)


def sparse(size: int) -> int:
    """Return the size of a file of zeros."""
    return size


def png_of(width: int, height: int) -> bytes:
    """Return a PNG file that claims to have so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


def jpeg_of(width: int, height: int) -> bytes:
    """Return a JPEG file that claims to have so many pixels."""
    import numpy as np

    import mozcodec

    data = bytearray(mozcodec.encode(np.zeros((8, 8, 3), np.uint8), profile="fastest"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def aliases() -> bytes:
    """Return YAML whose references make 10^9 items of ten lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return ("\n".join(lines) + "\nconditions: *a9\n").encode()


def gzip_of(size: int, line: bytes) -> bytes:
    """Return a gzip file that unpacks to *size* bytes: a header of a table, then one line, or copies of *line*."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"label,score\n")]
    block = (line or b"1") * ((1 << 24) // max(len(line), 1))
    for _ in range(size // len(block)):
        parts.append(packer.compress(block))
    return b"".join(parts) + packer.flush()


def zstd_of() -> bytes:
    """Return a zstd file that unpacks to 4 GiB without an end of a line."""
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.CompressedOutputStream(pa.PythonFile(sink, "w"), "zstd") as out:
        out.write(b"label,score\n")
        for _ in range(256):
            out.write(b"1" * (1 << 24))
        out.flush()
        return sink.getvalue()


def tensors_of(number: int) -> bytes:
    """Return a safetensors file whose header claims a tensor of so many numbers."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [number], "data_offsets": [0, 4 * number]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(64)
