"""Fuzz the kinds of inputs: pixels, JPEG data and out= as arrays, buffers, files, tensors and objects of many forms.

    python packages/mozcodec/fuzz/inputs.py                           # 10,000 cases
    python packages/mozcodec/fuzz/inputs.py --cases 500 --seed 7
    python packages/mozcodec/fuzz/inputs.py --cases 2000 --sanitized  # under ASan and UBSan

Each case passes one image or one file to a random function in a random form: another memory layout, dtype, shape or
container, one that the function may not take. It must return what it returns for a contiguous uint8 array or for
bytes, or raise a documented exception whose text says what is wanted; texts of NumPy, cffi and Python do not count.
A case is a pure function of the seed and its number. The exit status is 1 if a case failed.
"""

import array
import ctypes
import io
import mmap
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mozcodec

sys.path.insert(0, str(Path(__file__).parent))  # tests load this file by its path, and -P leaves its folder out
import seeded

DOCUMENTED = (mozcodec.JpegError, ValueError, TypeError)
FILES = (FileNotFoundError, IsADirectoryError, NotADirectoryError, BlockingIOError)
"""What a path or a file may raise beside them."""
_SAYS = re.compile(
    r"\b(got|must|needs?|takes?|use|pass|at most|at least|convert|scale|choose|instead|open it|has|have|holds|"
    r"not a JPEG|encoded|closed file)\b"
)
"""What a text of ours has: the value, what is wanted or the way out."""
_FOREIGN = re.compile(
    r"^(initializer for|cannot reshape|could not|unsupported operand|'\w+' object|\w+ object is|a bytes-like object|"
    r"unhashable|invalid literal|cannot convert|setting an array|embedded null|"
    r"memoryview:|.*has no attribute)|object at 0x"
)
"""Texts of Python, NumPy and cffi."""


# ---- containers -----------------------------------------------------------------------------------------------------


class Dlpack:
    """An array that says what it holds through DLPack only."""

    def __init__(self, content: np.ndarray, device: int = 1) -> None:
        self._content, self._device = content, device

    def __dlpack__(self, **options: Any) -> Any:
        return self._content.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device, 0


class Interface:
    """An array through ``__array_interface__`` only."""

    def __init__(self, content: np.ndarray) -> None:
        self._content = content
        self.__array_interface__ = content.__array_interface__


class Cuda:
    """An array that says it is in the memory of a GPU."""

    def __init__(self) -> None:
        self.__cuda_array_interface__ = {"shape": (8, 8), "typestr": "|u1", "data": (0, False), "version": 3}


class Reader:
    """An object with ``read`` only, which returns what it was given."""

    def __init__(self, content: Any) -> None:
        self._content = content

    def read(self, *_: Any) -> Any:
        return self._content


def _padded(content: np.ndarray) -> np.ndarray:
    wide = np.zeros([size + 3 for size in content.shape], content.dtype)
    inner = wide[tuple(slice(1, 1 + size) for size in content.shape)]
    inner[...] = content
    return inner


def _spread(content: np.ndarray) -> np.ndarray:
    wide = np.zeros([2 * size for size in content.shape], content.dtype)
    wide[tuple(slice(None, None, 2) for _ in content.shape)] = content
    return wide[tuple(slice(None, None, 2) for _ in content.shape)]


def _unaligned(content: np.ndarray) -> np.ndarray:
    raw = np.zeros(content.nbytes + 1, np.uint8)
    raw[1:] = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
    return raw[1:].view(content.dtype).reshape(content.shape)


def _frozen(content: np.ndarray) -> np.ndarray:
    copy = content.copy()
    copy.flags.writeable = False
    return copy


def _flipped(content: np.ndarray) -> np.ndarray:
    every = tuple(slice(None, None, -1) for _ in content.shape)
    return content[every].copy()[every]


class Subclass(np.ndarray):
    """An array of a type of its own, as a memory map is."""


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "contiguous": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "negative strides": _flipped,
    "padded": _padded,
    "every other": _spread,
    "unaligned": _unaligned,
    "read-only": _frozen,
    "DLPack": Dlpack,
    "array interface": Interface,
    "memoryview": lambda a: memoryview(np.ascontiguousarray(a)),
    "subclass": lambda a: a.view(Subclass),
}
"""Forms that hold the same samples: a function that takes arrays takes these."""
_TYPES = (
    "i1", "<u2", ">u2", "<i2", "<i4", "<u4", "<i8", ">i8", "<u8", "<f2", "<f4", ">f4", "<f8", "?", "<c8", "O", "U3",
    "S3", "M8[s]", "m8[s]", "V1",
)  # fmt: skip


def _retyped(rng: np.random.Generator, content: np.ndarray) -> Any:
    kind = np.dtype(str(rng.choice(_TYPES)))
    return content.view(kind) if kind.kind == "V" else content.astype(kind)


def _reshaped(rng: np.random.Generator, content: np.ndarray) -> Any:
    match int(rng.integers(7)):
        case 0:
            return content[None]
        case 1:
            return content[..., None]
        case 2:
            return content.reshape(-1)
        case 3:
            return content[:0]
        case 4:
            return content[:, :0]
        case 5:
            return np.uint8(7)
        case _:
            return np.repeat(np.atleast_3d(content), int(rng.integers(2, 6)), axis=2)


def _no_image(rng: np.random.Generator, content: np.ndarray) -> Any:
    plain = np.ascontiguousarray(content)
    return [
        None, "text", b"bytes", 7, 1.5, {}, {1, 2}, object(), Cuda(), Dlpack(plain, 2), plain.tobytes(),
        plain.tolist(), array.array("B", plain.tobytes()),
        (ctypes.c_uint8 * plain.size).from_buffer_copy(plain.tobytes()), iter([1]), [[1, 2], [3]], [], [None],
        np.ma.masked_array(plain, plain > 9), Path("image.png"), int, np.dtype("u1"), float("nan"), [plain,
        plain[:1]], (plain, plain),
    ][int(rng.integers(25))]  # fmt: skip


# ---- pixels ---------------------------------------------------------------------------------------------------------

PLAIN: dict[str, Any] = {"profile": "fastest", "progressive": False}
VERBS: dict[str, Callable[..., Any]] = {
    "encode": lambda a, f, **more: mozcodec.encode(a, 80, pixel_format=f, **PLAIN, **more),
    "encode by default": lambda a, f, **more: mozcodec.encode(a, 80, pixel_format=f, **more),
    "encode out=": lambda a, f, **more: bytes(
        mozcodec.encode(a, 80, pixel_format=f, out=bytearray(100_000), **PLAIN, **more)
    ),
    "encode distance": lambda a, f, **more: mozcodec.encode(a, distance=2.0, effort=0, pixel_format=f, **more),
    "Encoder": lambda a, f, **more: mozcodec.Encoder(80, pixel_format=f, **PLAIN).encode(a, **more),
    "encode_many": lambda a, f, **more: next(iter(mozcodec.encode_many([a], 80, pixel_format=f, **PLAIN, **more))),
    "encode_scaled": lambda a, f, **more: mozcodec.encode_scaled(a, 80, dct_size=4, pixel_format=f, **PLAIN, **more),
    "sweep": lambda a, f, **more: next(
        iter(mozcodec.sweep(a, [50], threads=1, pixel_format=f, **PLAIN, **more))
    ).data,
    "encode_to_target": lambda a, f, **more: mozcodec.encode_to_target(
        a, psnr=25, pixel_format=f, **PLAIN, **more
    ).data,
    "psnr": lambda a, _, **__: mozcodec.psnr(a, a),
    "ssim": lambda a, _, **__: mozcodec.ssim(a, a),
    "ms_ssim": lambda a, _, **__: mozcodec.ms_ssim(a, a),
    "ssimulacra2": lambda a, _, **__: mozcodec.ssimulacra2(a, a),
}  # fmt: skip
FORMATS = {1: ("gray", None), 3: ("rgb", "bgr", None), 4: ("rgbx", "bgra", "cmyk", "rgba")}
_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "RGBA", "LA", "La", "RGBa", "PA", "I", "F",
"I;16")

def _picture(rng: np.random.Generator) -> tuple[np.ndarray, str | None]:
    channels = int(rng.choice([1, 3, 3, 4]))
    height, width = (int(size) for size in rng.integers(8, 40, 2))
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    pixels[1:] = pixels[1:] // 8 + pixels[:1]
    pixel_format = FORMATS[channels][int(rng.integers(len(FORMATS[channels])))]
    return (pixels[..., 0] if channels == 1 and rng.integers(2) else pixels), pixel_format


def _outcome(call: Callable[[], Any], allowed: tuple[type[BaseException], ...] = DOCUMENTED) -> tuple[Any, str]:
    """Return (result, "") or (None, text of the exception); raises what is not documented."""
    try:
        return call(), ""
    except allowed as error:
        text = str(error)
        is_plain = (_SAYS.search(text) or isinstance(error, mozcodec.JpegError)) and not _FOREIGN.search(text)
        assert is_plain or isinstance(error, OSError), f"{type(error).__name__} does not say what is wanted: {text}"
        return None, text


def _is_same(found: Any, wanted: Any) -> bool:
    return np.array_equal(np.asarray(found), np.asarray(wanted), equal_nan=not isinstance(found, bytes | memoryview))


def _check_pixels(rng: np.random.Generator) -> str:
    pixels, pixel_format = _picture(rng)
    name = str(rng.choice(list(VERBS)))
    verb = VERBS[name]
    wanted, refused = _outcome(lambda: verb(pixels, pixel_format))
    kind = int(rng.integers(6))
    if kind < 3:  # the same samples
        layout = str(rng.choice(list(LAYOUTS)))
        found, text = _outcome(lambda: verb(LAYOUTS[layout](pixels), pixel_format))
        assert bool(text) == bool(refused), f"{name}, {layout}: {text or 'is taken, the array is not'}"
        assert text or found == wanted, f"{name}, {layout}: another result"
        return "refused" if text else "same"
    if kind == 3 and pixels.ndim == 3 and not name.startswith(("psnr", "ssim", "ms_", "sweep", "encode_to",
    "Encoder")):
        turned = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        layout = str(rng.choice(list(LAYOUTS)))
        found, text = _outcome(lambda: verb(LAYOUTS[layout](turned), pixel_format, layout="chw"))
        assert text or found == wanted, f"{name}, {layout}, chw: another result"
        return "refused" if text else "same"
    if kind == 4:
        return _check_pillow(rng, pixels, verb, name)
    change = (_retyped, _reshaped, _no_image)[int(rng.integers(3))]
    odd = change(rng, pixels)
    _, text = _outcome(lambda: verb(odd, pixel_format))
    return "refused" if text else "taken"


def _check_pillow(rng: np.random.Generator, pixels: np.ndarray, verb: Callable[..., Any], name: str) -> str:
    mode = str(rng.choice(_MODES))
    image = Image.fromarray(np.atleast_3d(pixels)[..., :1].repeat(3, axis=2))
    try:
        image = image.convert(mode)
    except ValueError:
        image = Image.new(mode, image.size)
    more: dict[str, Any] = {"background": 255} if rng.integers(2) and "A" in mode.upper()[-1:] else {}
    if name.startswith(("psnr", "ssim", "ms_", "sweep", "encode_to", "encode_scaled", "Encoder", "encode distance")):
        more = {}
    _, text = _outcome(lambda: verb(image, None, **more))
    return "refused" if text else "taken"


# ---- JPEG data ------------------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Any], Any]] = {
    "decode": mozcodec.decode,
    "decode gray": lambda data: mozcodec.decode(data, "gray"),
    "decode upright": lambda data: mozcodec.decode(data, apply_orientation=True),
    "decode chw": lambda data: mozcodec.decode(data, layout="chw"),
    "decode_batch": lambda data: mozcodec.decode_batch([data], threads=1),
    "decode_many": lambda data: next(iter(mozcodec.decode_many([data], threads=1))),
    "read_header": lambda data: mozcodec.read_header(data).width,
    "inspect": lambda data: len(mozcodec.inspect(data).segments),
    "read_coefficients": lambda data: mozcodec.read_coefficients(data).components[0],
    "coefficient_histograms": lambda data: mozcodec.coefficient_histograms(data)[0],
    "optimize": lambda data: np.frombuffer(mozcodec.optimize(data), np.uint8),
    "transform": lambda data: np.frombuffer(mozcodec.transform(data, "rotate_180", trim=True), np.uint8),
    "edit_metadata": lambda data: np.frombuffer(mozcodec.edit_metadata(data, comment="x"), np.uint8),
    "pictures": lambda data: len(mozcodec.pictures(data)),
}


def _mapped(data: bytes) -> mmap.mmap:
    found = mmap.mmap(-1, len(data))
    found.write(data)
    return found


class Place:
    """A path-like object."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


def _same_data(rng: np.random.Generator, data: bytes, path: Path) -> Any:
    raw = np.frombuffer(data, np.uint8)
    path.write_bytes(data)
    return [
        lambda: data, lambda: bytearray(data), lambda: memoryview(data), lambda: raw, lambda: raw.copy(),
        lambda: _mapped(data), lambda: Dlpack(raw.copy()), lambda: path, lambda: str(path), lambda: Place(path),
        lambda: path.open("rb"), lambda: path.open("rb", buffering=0), lambda: io.BytesIO(data), lambda: Reader(data),
        lambda: memoryview(bytearray(data)), lambda: os.fsencode(path) and path,
    ][int(rng.integers(16))]()  # fmt: skip


def _odd_data(rng: np.random.Generator, data: bytes, path: Path) -> Any:
    raw = np.frombuffer(data, np.uint8)
    path.write_bytes(data)
    half = data[: int(rng.integers(0, 40))]
    return [
        lambda: None, lambda: 5, lambda: 2.5, lambda: [1, 2], dict, lambda: object(), lambda: list(data[:9]),
        lambda: b"", lambda: bytearray(), lambda: raw[:0], lambda: raw[::2], lambda: raw[::-1], lambda: raw[None],
        lambda: raw.astype("i4"), lambda: raw.astype("f4"), lambda: Dlpack(raw.astype("i8")),
        lambda: Dlpack(raw[None]), lambda: Dlpack(raw, 2), lambda: Cuda(), lambda: memoryview(data)[::2],
        lambda: array.array("B", data), lambda: array.array("i", [1, 2]),
        lambda: (ctypes.c_uint8 * len(data)).from_buffer_copy(data), lambda: path.parent, lambda: path / "x",
        lambda: str(path) + "?", lambda: path.open(encoding="latin-1"), lambda: io.StringIO("x"),
        lambda: Reader(None), lambda: Reader("text"), lambda: Reader(5), lambda: Reader(b""), lambda: Reader([1]),
        lambda: half, lambda: io.BytesIO(half), lambda: "", lambda: "\0", lambda: Path(), lambda: os.fsencode(path),
        lambda: memoryview(np.frombuffer(data[: len(data) // 4 * 4], "<f4")), lambda: np.array(data),
        lambda: np.array([data], object), lambda: np.uint8(255), lambda: Image.new("L", (8, 8)),
        lambda: b"\x89PNG\r\n\x1a\n" + half, lambda: b"<html>" + half, lambda: rng.bytes(50),
        lambda: decode_closed(path),
    ][int(rng.integers(48))]()  # fmt: skip


def decode_closed(path: Path) -> Any:
    file = path.open("rb")
    file.close()
    return file


def _check_data(rng: np.random.Generator, folder: Path) -> str:
    pixels, _ = _picture(rng)
    data = mozcodec.encode(np.atleast_3d(pixels)[..., 0], 80, **PLAIN)
    name = str(rng.choice(list(READERS)))
    reader, path = READERS[name], folder / "image.jpg"
    wanted = reader(data)
    if rng.integers(2):
        found = reader(_same_data(rng, data, path))
        assert _is_same(found, wanted), f"{name}: another result"
        return "same"
    odd = _odd_data(rng, data, path)
    found, text = _outcome(lambda: reader(odd), (*DOCUMENTED, *FILES))
    if not text and isinstance(odd, np.ndarray | memoryview | array.array | ctypes.Array):
        assert _is_same(found, reader(bytes(memoryview(odd)))), f"{name}, {type(odd).__name__}: another result"
    return "refused" if text else "taken"


# ---- out= -----------------------------------------------------------------------------------------------------------


def _check_out(rng: np.random.Generator) -> str:
    pixels, _ = _picture(rng)
    data = mozcodec.encode(np.ascontiguousarray(np.atleast_3d(pixels)[..., :1].repeat(3, axis=2)), 80, **PLAIN)
    wanted = mozcodec.decode(data)
    if rng.integers(4) == 0:
        return _check_encoded_out(rng, wanted)
    empty = np.zeros_like(wanted)
    out = [
        lambda: empty, lambda: np.asfortranarray(empty), lambda: _padded(empty), lambda: _spread(empty),
        lambda: empty[::-1], lambda: empty[:, ::-1], lambda: _frozen(empty), lambda: empty[:-1], lambda: empty[...,
        :1], lambda: empty.astype("u2"), lambda: empty.astype("f4"), lambda: empty.view("i1"),
        lambda: _unaligned(empty), lambda: np.broadcast_to(empty[:1], empty.shape), lambda: Dlpack(empty),
        lambda: Interface(empty), lambda: bytearray(empty.nbytes), lambda: memoryview(empty),
        lambda: empty.tolist(), lambda: 5, lambda: "x", lambda: Cuda(), lambda: np.zeros((), np.uint8),
        lambda: np.zeros(0, np.uint8), lambda: bytes(empty.nbytes), lambda: np.lib.stride_tricks.as_strided(empty,
        strides=(0, 3, 1)), lambda: Image.new("RGB", (8, 8)),
    ][int(rng.integers(27))]()  # fmt: skip
    more = {"apply_orientation": True} if rng.integers(3) == 0 else {}
    if rng.integers(3) == 0 and isinstance(out, np.ndarray) and out.ndim == 3:
        batch, text = _outcome(lambda: mozcodec.decode_batch([data], out=out[None], threads=1))
        found = None if batch is None else batch[0]
    else:
        found, text = _outcome(lambda: mozcodec.decode(data, out=out, **more))
        assert text or found is out, "decode returns another object than out"
    if text:
        return "refused"
    held = empty if isinstance(out, Dlpack | Interface) else found
    assert _is_same(held, wanted), f"out of {type(out).__name__}: other pixels"
    return "same"


def _check_encoded_out(rng: np.random.Generator, pixels: np.ndarray) -> str:
    wanted = mozcodec.encode(pixels, 80, **PLAIN)
    size = len(wanted) + int(rng.integers(-20, 20))
    out = [
        lambda: bytearray(size), lambda: memoryview(bytearray(size)), lambda: np.zeros(size, np.uint8),
        lambda: np.zeros((2, size), np.uint8), lambda: np.zeros(2 * size, np.uint8)[::2], lambda: bytes(size),
        lambda: np.zeros(size, np.float32), lambda: [0] * size, lambda: 5, lambda: "x",
        lambda: _frozen(np.zeros(size)), lambda: Dlpack(np.zeros(size, np.uint8)), lambda: io.BytesIO(),
        lambda: array.array("B", bytes(size)), lambda: Cuda(), lambda: mmap.mmap(-1, size), lambda: bytearray(),
    ][int(rng.integers(17))]()  # fmt: skip
    found, text = _outcome(lambda: mozcodec.encode(pixels, 80, out=out, **PLAIN))
    assert text or bytes(found) == wanted, f"out of {type(out).__name__}: other bytes"
    return "refused" if text else "same"


def run_case(seed: int, number: int) -> str:
    """Return what became of the case; raise AssertionError, or what else went wrong, where it failed."""
    rng = np.random.default_rng((seed, number))
    match int(rng.integers(5)):
        case 0 | 1:
            return f"pixels {_check_pixels(rng)}"
        case 2 | 3:
            with tempfile.TemporaryDirectory() as folder:
                return f"data {_check_data(rng, Path(folder))}"
        case _:
            return f"out {_check_out(rng)}"


def run(cases: int, seed: int) -> int:
    """Print what failed and how many cases had which result; return the number of failures."""
    return seeded.run(run_case, cases, seed, lambda *_: "")


if __name__ == "__main__":
    sys.exit(seeded.main(__file__, __doc__, run))
