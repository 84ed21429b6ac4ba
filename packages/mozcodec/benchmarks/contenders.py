"""The contenders that are measured together with mozcodec: one table, :data:`CONTENDERS`.

Each entry says how to install a contender; its ``load`` imports or finds it and returns its version and tasks: a
dictionary from tasks to functions that make :class:`timing.Work`. Tasks:

    mozjpeg      (pixels, quality)  JPEG bytes with trellis and searched scans
    progressive  (pixels, quality)  plain progressive, optimal Huffman tables, 4:2:0
    optimised    (pixels, quality)  baseline, optimal Huffman tables, 4:2:0
    baseline     (pixels, quality)  baseline, the standard's Huffman tables, 4:2:0
    decode       (data)             RGB pixels (gray of a gray file)
    eighth       (data)             the same at 1/8 of the size
    header       (data)             width and height at least
    optimize     (data)             the same image with optimal tables and searched scans; the C loop only
    spin         (seconds)          counts as fast as possible; the C loop only

Contenders that cannot be loaded are listed with the reason and left out.
"""

import io
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from floor import loaded_library, own_floor, programs, system_floor, version_inside
from timing import Call, Work, cpu_time

Tasks = dict[str, Callable[..., Work]]
ENCODING = ("mozjpeg", "progressive", "optimised", "baseline")
"""From the smallest files to the largest."""


@dataclass(frozen=True)
class Contender:
    """A way to encode or decode JPEG."""

    name: str
    bring: str
    """How to get it."""
    load: Callable[[], tuple[str, Tasks]]


@dataclass(frozen=True)
class Loaded:
    """A contender that was loaded."""

    name: str
    version: str
    tasks: Tasks


def _encoder(call: Callable[..., bytes], **options: Any) -> Callable[..., Work]:
    return lambda pixels, quality: Call(lambda: call(pixels, quality, **options))


def _reader(call: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[..., Work]:
    return lambda data: Call(lambda: call(data, *arguments, **options))


# ---- mozcodec and C ----------------------------------------------------------------------------------------------


def _mozcodec() -> tuple[str, Tasks]:
    import mozcodec

    def plain(pixels: np.ndarray, quality: int) -> Work:
        if quality < 80:  # then cjpeg's own choice is 4:2:0
            return Call(lambda: mozcodec.encode(pixels, quality, profile="fastest"))
        return Call(lambda: mozcodec.encode(pixels, quality, profile="fastest", subsampling="4:2:0"))

    info = mozcodec.build_info()
    return f"{info['version']} (mozjpeg {info['mozjpeg_version']}, engine {info['engine']})", {
        "mozjpeg": _encoder(mozcodec.encode),
        "progressive": lambda pixels, quality: Call(
            lambda: mozcodec.encode(pixels, quality, profile="fastest", progressive=True, subsampling="4:2:0")
        ),
        "baseline": plain,
        "decode": lambda data: Call(lambda: mozcodec.decode(data, None)),
        "eighth": lambda data: Call(lambda: mozcodec.decode(data, None, scale=1)),
        "header": _reader(mozcodec.read_header),
    }


def _c_tasks(floor: Any) -> Tasks:
    return {
        **{kind: lambda pixels, quality, kind=kind: floor.turbo(pixels, quality, kind) for kind in ENCODING[1:]},
        "decode": floor.decode,
        "eighth": lambda data: floor.decode(data, 1),
        "header": floor.header,
    }


def _own_c() -> tuple[str, Tasks]:
    floor = own_floor(_folder())
    return version_inside(floor.library), {
        "mozjpeg": floor.encode,
        **_c_tasks(floor),
        "optimize": floor.optimize,
        "spin": lambda seconds: Call(lambda: floor.spin(seconds)),
    }


def _system_c() -> tuple[str, Tasks]:
    floor = system_floor(_folder())
    return version_inside(loaded_library("libjpeg.so")), _c_tasks(floor)


def _cjpeg() -> tuple[str, Tasks]:
    program = programs() / "cjpeg-static"
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)
    source, target = _folder() / "cjpeg.ppm", _folder() / "cjpeg.jpg"

    def encode(pixels: np.ndarray, quality: float) -> bytes:
        source.write_bytes(b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
        subprocess.run([program, "-quality", str(quality), "-outfile", target, source], check=True)
        return target.read_bytes()

    made = lambda pixels, quality: Call(lambda: encode(pixels, quality), cpu_time)  # noqa: E731
    number = re.search(r"mozjpeg version [\d.]+", said.stdout + said.stderr)
    return number[0].replace(" version", "") if number else "", {"mozjpeg": made}


# ---- packages of the Python Package Index ------------------------------------------------------------------------


def _pillow() -> tuple[str, Tasks]:
    from PIL import Image, features

    def encode(pixels: np.ndarray, quality: int, **options: bool) -> bytes:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling="4:2:0", **options)
        return out.getvalue()

    def decode(data: bytes, scale: int = 8) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            if scale < 8:
                image.draft(image.mode, (image.width * scale // 8, image.height * scale // 8))
            return np.asarray(image)

    def header(data: bytes) -> tuple[int, int]:
        with Image.open(io.BytesIO(data)) as image:
            return image.size

    return f"{version('pillow')} (libjpeg-turbo {features.version('libjpeg_turbo')})", {
        "progressive": _encoder(encode, progressive=True, optimize=True),
        "optimised": _encoder(encode, optimize=True),
        "baseline": _encoder(encode),
        "decode": _reader(decode),
        "eighth": _reader(decode, 1),
        "header": _reader(header),
    }


def _simplejpeg() -> tuple[str, Tasks]:
    import simplejpeg

    def encode(pixels: np.ndarray, quality: int) -> bytes:
        gray = pixels.ndim == 2
        space, sampling = ("GRAY", "Gray") if gray else ("RGB", "420")
        return simplejpeg.encode_jpeg(pixels[:, :, None] if gray else pixels, quality, space, sampling)

    def decode(data: bytes, space: str) -> np.ndarray:
        return simplejpeg.decode_jpeg(data, space)

    def eighth(data: bytes) -> Work:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        least = {"min_height": -(-height // 8), "min_width": -(-width // 8)}
        return Call(lambda: simplejpeg.decode_jpeg(data, "RGB", **least))

    def full(data: bytes) -> Work:
        space = "GRAY" if simplejpeg.decode_jpeg_header(data)[2] == "Gray" else "RGB"
        return Call(lambda: decode(data, space))

    return version("simplejpeg"), {
        "baseline": _encoder(encode),
        "decode": full,
        "eighth": eighth,
        "header": _reader(simplejpeg.decode_jpeg_header),
    }


def _opencv() -> tuple[str, Tasks]:
    import cv2

    def encoder(**flags: int) -> Callable[..., Work]:
        named = [item for name, value in flags.items() for item in (getattr(cv2, f"IMWRITE_JPEG_{name}"), value)]
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]

        def make(pixels: np.ndarray, quality: int) -> Work:
            own = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1])  # its order is BGR
            options = [cv2.IMWRITE_JPEG_QUALITY, quality, *([] if pixels.ndim == 2 else sampling), *named]
            return Call(lambda: cv2.imencode(".jpg", own, options)[1].tobytes())

        return make

    def reader(flag: int) -> Callable[..., Work]:
        return lambda data: Call(lambda: cv2.imdecode(np.frombuffer(data, np.uint8), flag))

    built = re.search(r"^ *JPEG: .*ver ([\d.]+)", cv2.getBuildInformation(), re.MULTILINE)
    inside = f" (libjpeg-turbo {built[1]})" if built else ""
    return cv2.__version__ + inside, {
        "progressive": encoder(PROGRESSIVE=1, OPTIMIZE=1),
        "optimised": encoder(OPTIMIZE=1),
        "baseline": encoder(OPTIMIZE=0),
        "decode": reader(cv2.IMREAD_UNCHANGED),
        "eighth": reader(cv2.IMREAD_REDUCED_COLOR_8),
    }


def _imagecodecs() -> tuple[str, Tasks]:
    import imagecodecs

    def encode(pixels: np.ndarray, quality: int, **options: bool) -> bytes:
        return imagecodecs.jpeg8_encode(pixels, level=quality, subsampling="420", **options)

    return f"{version('imagecodecs')} ({imagecodecs.jpeg8_version().replace('_', '-')})", {
        "optimised": _encoder(encode, optimize=True),
        "baseline": _encoder(encode, optimize=False),
        "decode": _reader(imagecodecs.jpeg8_decode),
    }


def _pyvips() -> tuple[str, Tasks]:
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    import pyvips

    pyvips.cache_set_max(0)  # otherwise the second decode of the same bytes would come from its cache

    def encoder(**options: Any) -> Callable[..., Work]:
        def make(pixels: np.ndarray, quality: int) -> Work:
            height, width = pixels.shape[:2]
            image = pyvips.Image.new_from_memory(pixels.data, width, height, pixels.size // (height * width), "uchar")
            return Call(lambda: image.jpegsave_buffer(Q=quality, **options))

        return make

    mozjpeg = dict.fromkeys(("trellis_quant", "overshoot_deringing", "optimize_scans"), True)
    number = ".".join(str(pyvips.version(i)) for i in range(3))
    return f"{version('pyvips')} (libvips {number})", {
        "mozjpeg": encoder(interlace=True, optimize_coding=True, quant_table=3, **mozjpeg),
        "progressive": encoder(interlace=True, optimize_coding=True),
        "optimised": encoder(optimize_coding=True),
        "baseline": encoder(),
        "decode": lambda data: Call(lambda: pyvips.Image.jpegload_buffer(data).numpy()),
        "eighth": lambda data: Call(lambda: pyvips.Image.jpegload_buffer(data, shrink=8).numpy()),
    }


def _pyturbojpeg() -> tuple[str, Tasks]:
    import turbojpeg as tj

    codec = tj.TurboJPEG("libturbojpeg.so.0")  # where LD_LIBRARY_PATH or the system has it

    def encode(pixels: np.ndarray, quality: int, flags: int = 0) -> bytes:
        if pixels.ndim == 2:
            return codec.encode(pixels[:, :, None], quality, tj.TJPF_GRAY, tj.TJSAMP_GRAY, flags)
        return codec.encode(pixels, quality, tj.TJPF_RGB, tj.TJSAMP_420, flags)

    def decode(data: bytes) -> Work:
        space = tj.TJPF_GRAY if codec.decode_header(data)[2] == tj.TJSAMP_GRAY else tj.TJPF_RGB
        return Call(lambda: codec.decode(data, space))

    return f"{version('PyTurboJPEG')} ({version_inside(loaded_library('libturbojpeg.so'))})", {
        "progressive": _encoder(encode, flags=tj.TJFLAG_PROGRESSIVE),
        "baseline": _encoder(encode),
        "decode": decode,
        "eighth": _reader(codec.decode, tj.TJPF_RGB, (1, 8)),
        "header": _reader(codec.decode_header),
    }


# ---- contenders in a process of their own ------------------------------------------------------------------------


class Remote:
    """Work of a contender that changes the process that imports it: done in another process, which reports its CPU
    time."""

    def __init__(self, process: subprocess.Popen, task: str, *arguments: object) -> None:
        self._process = process
        self._key = self._ask("make", task, *arguments)

    def _ask(self, *words: object) -> Any:
        pickle.dump(words, self._process.stdin)
        self._process.stdin.flush()
        answer = pickle.load(self._process.stdout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __call__(self) -> object:
        return self._ask("call", self._key)

    def seconds(self, repeat: int) -> float:
        return self._ask("seconds", self._key, repeat)


def _remote(name: str) -> tuple[str, Tasks]:
    command = [sys.executable, Path(__file__), "serve", name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        number, tasks = pickle.load(process.stdout)
    except EOFError:
        raise ImportError(f"its process ended with status {process.wait()}") from None
    if isinstance(tasks, str):
        raise ImportError(tasks)
    return number, {task: lambda *arguments, task=task: Remote(process, task, *arguments) for task in tasks}


def _serve(name: str) -> None:
    """Answer the questions of :class:`Remote` from standard input until it ends."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps what the libraries print out of the answers

    def answer(value: object) -> None:
        pickle.dump(value, answers)
        answers.flush()

    try:
        number, tasks = SERVED[name]()
    except (ImportError, OSError) as error:
        answer(("", str(error)))
        return
    answer((number, list(tasks)))
    works: list[Work] = []
    while True:
        try:
            verb, *rest = pickle.load(questions)
        except EOFError:
            return
        try:
            if verb == "make":
                works.append(tasks[rest[0]](*rest[1:]))
                answer(len(works) - 1)
            elif verb == "call":
                answer(works[rest[0]]())
            else:
                answer(works[rest[0]].seconds(rest[1]))
        except Exception as error:  # any error is reported to the calling process
            answer(error)


def _jpeglib() -> tuple[str, Tasks]:
    """Its import loads two dozen libjpegs; it reads and writes files only."""
    import jpeglib

    folder = _folder()

    def encoder(engine: str) -> Callable[..., Work]:
        def make(pixels: np.ndarray, quality: int) -> Work:
            target = folder / f"{engine}.jpg"

            def encode() -> bytes:
                jpeglib.version.set(engine)
                jpeglib.from_spatial(np.atleast_3d(pixels)).write_spatial(str(target), qt=quality)
                return target.read_bytes()

            return Call(encode)

        return make

    def decode(data: bytes) -> np.ndarray:
        (folder / "in.jpg").write_bytes(data)
        jpeglib.version.set("turbo210")
        return jpeglib.read_spatial(str(folder / "in.jpg")).spatial

    return f"{version('jpeglib')} (mozjpeg 4.0.3 and libjpeg-turbo 2.1.0, through files)", {
        "mozjpeg": encoder("mozjpeg403"),
        "baseline": encoder("turbo210"),
        "decode": _reader(decode),
    }


SERVED = {"jpeglib": _jpeglib}


# ---- the registry ------------------------------------------------------------------------------------------------

MOZCODEC, OWN_C, SYSTEM_C = "mozcodec", "C loop, same build", "C loop, system's"

CONTENDERS = (
    Contender(MOZCODEC, "pip install ./packages/mozcodec", _mozcodec),
    Contender(OWN_C, "apt-get install build-essential cmake nasm", _own_c),
    Contender(SYSTEM_C, "apt-get install build-essential libjpeg62-turbo-dev", _system_c),
    Contender("cjpeg, a process and files", "apt-get install build-essential cmake nasm", _cjpeg),
    Contender("Pillow", "pip install pillow", _pillow),
    Contender("simplejpeg", "pip install simplejpeg", _simplejpeg),
    Contender("OpenCV", "pip install opencv-python", _opencv),
    Contender("imagecodecs", "pip install imagecodecs", _imagecodecs),
    Contender("pyvips", "pip install 'pyvips[binary]'", _pyvips),
    Contender("jpeglib", "pip install jpeglib", lambda: _remote("jpeglib")),
    Contender("PyTurboJPEG", "pip install 'PyTurboJPEG<2'; apt-get install libturbojpeg0", _pyturbojpeg),
)


def load(contenders: Iterable[Contender] = CONTENDERS) -> tuple[dict[str, Loaded], dict[str, str]]:
    """Return the contenders that could be loaded, and for the others the reason and how to install them."""
    here, missing = {}, {}
    for contender in contenders:
        try:
            here[contender.name] = Loaded(contender.name, *contender.load())
        except subprocess.CalledProcessError as error:
            words = error.stderr.decode() if isinstance(error.stderr, bytes) else str(error.stderr)
            missing[contender.name] = f"{_last_line(words)}; {contender.bring}"
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            missing[contender.name] = f"{_last_line(str(error))}; {contender.bring}"
    return here, missing


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


_scratch: list[tempfile.TemporaryDirectory] = []


def _folder() -> Path:
    """Return a folder that is deleted when the process ends."""
    if not _scratch:
        _scratch.append(tempfile.TemporaryDirectory(prefix="benchmark"))
    return Path(_scratch[0].name)


if __name__ == "__main__":
    _serve(sys.argv[2])
