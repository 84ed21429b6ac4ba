"""Images, and mozjpeg's own programs as a reference."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"
PICTURES = Path(skimage.__file__).parent / "data"


def pnm(pixels: np.ndarray) -> bytes:
    """Return *pixels* as a binary PPM or PGM file; uint16 ones as 12-bit samples."""
    kind, maximum = (b"P6" if pixels.ndim == 3 else b"P5"), 255 if pixels.dtype == np.uint8 else 4095
    height, width = pixels.shape[:2]
    data = pixels.astype(">u2") if maximum > 255 else pixels
    return kind + b" %d %d %d\n" % (width, height, maximum) + data.tobytes()


def from_pnm(data: bytes) -> np.ndarray:
    """Return the pixels of djpeg's PPM or PGM."""
    kind, size, maximum, body = data.split(b"\n", 3)
    width, height = map(int, size.split())
    pixels = np.frombuffer(body, np.uint8 if int(maximum) < 256 else ">u2")
    return pixels.reshape((height, width, 3) if kind == b"P6" else (height, width))


@dataclass(frozen=True)
class Programs:
    """mozjpeg's cjpeg, djpeg and jpegtran, built from the pinned source."""

    folder: Path

    @property
    def source(self) -> Path:
        """mozjpeg's source tree that they were built from."""
        cache = (self.folder / "CMakeCache.txt").read_text()
        return Path(next(line.partition("=")[2] for line in cache.splitlines() if "HOME_DIRECTORY" in line))

    def run(self, program: str, *arguments: object, data: bytes) -> subprocess.CompletedProcess:
        command = [str(self.folder / f"{program}-static"), *map(str, arguments)]
        return subprocess.run(command, input=data, capture_output=True, timeout=1200, check=False)

    def ask(self, program: str, *arguments: object, data: bytes) -> bytes:
        done = self.run(program, *arguments, data=data)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def try_cjpeg(self, pixels: np.ndarray, *switches: object) -> subprocess.CompletedProcess:
        return self.run("cjpeg", *switches, data=pnm(pixels))

    def cjpeg(self, pixels: np.ndarray, *switches: object) -> bytes:
        return self.ask("cjpeg", *switches, data=pnm(pixels))

    def djpeg(self, data: bytes, *switches: object) -> np.ndarray:
        return from_pnm(self.ask("djpeg", "-pnm", *switches, data=data))

    def jpegtran(self, data: bytes, *switches: object) -> bytes:
        return self.ask("jpegtran", *switches, data=data)


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Build the programs once, beside mozcodec's own builds (about 15 s of CPU the first time)."""
    if shutil.which("cmake") is None:
        pytest.fail("the tests ask mozjpeg's own cjpeg and need cmake to build it: apt-get install cmake")
    floor = load(PACKAGE / "benchmarks" / "floor.py")
    return Programs(floor.programs())


@pytest.fixture(scope="session")
def picture() -> Callable[[str], np.ndarray]:
    """A function: file name of an image that comes with scikit-image -> uint8 gray or RGB."""

    @cache
    def read(name: str) -> np.ndarray:
        with Image.open(PICTURES / name) as image:
            return np.array(image.convert("L" if image.mode in ("1", "L", "LA", "I;16") else "RGB"))

    return read


@pytest.fixture(scope="session")
def astronaut(picture) -> np.ndarray:
    """(512, 512, 3)"""
    return picture("astronaut.png")


@pytest.fixture(scope="session")
def small(astronaut) -> np.ndarray:
    """(48, 64, 3): part of a face."""
    return np.ascontiguousarray(astronaut[80:128, 200:264])


@pytest.fixture(scope="session")
def small_gray(picture) -> np.ndarray:
    """(45, 61): edges that no block size divides."""
    return np.ascontiguousarray(picture("camera.png")[100:145, 200:261])


@pytest.fixture(scope="session")
def ijg() -> Iterator[Callable[[str], Any]]:
    """A function: version of the Independent JPEG Group's libjpeg ("8d", "9f") -> ``Reference`` of ijg.py."""
    module = load(Path(__file__).with_name("ijg.py"))
    libraries = {}

    def library(version: str) -> Any:
        if version not in libraries:
            libraries[version] = module.Reference(version)
        return libraries[version]

    yield library
    for reference in libraries.values():
        reference.close()
