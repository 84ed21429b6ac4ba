"""The bytes of the perceptual mode are those of every other processor and compiler."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import mozcodec
from tools.scripts import load

COMPILERS = Path(__file__).resolve().parents[2] / "packages" / "mozcodec" / "fuzz" / "compilers.py"
EXPECTED = {
    0: "aec9515c855cda18a85cd1011c7bd26fdce9ba87937809c828f902934434e5af",
    1: "8f72a0de4e69144da509c558523ecff8d3b75f48c25fd90cac1c43b7faa25844",
    2: "40d00775ebc378f13aff5f6f1cda13fbc714d6335fa1caae452b74b4953527c1",
}
"""SHA-256 of the files of each effort, by gcc 12 on x86-64; a deliberate change of the mode changes them."""


def drawn(kind: int, height: int, width: int) -> np.ndarray:
    """Return an image of integer arithmetic, the same everywhere."""
    y, x, c = np.mgrid[:height, :width, :3]
    if kind == 0:
        return ((x * 7 + y * 3 + c * 40) % 256).astype(np.uint8)
    if kind == 1:
        return ((x * x // 9 + y * y // 7 + 60 * c) % 256).astype(np.uint8)
    return np.where((x // 5 + y // 3) % 2, 30 + 90 * c, 220 - 70 * c).astype(np.uint8)


@pytest.mark.parametrize("effort", EXPECTED)
def test_bytes_are_those_of_other_processors_and_compilers(effort):
    total = hashlib.sha256()
    for kind, (height, width) in enumerate(((61, 83), (230, 240), (40, 17))):
        for subsampling in ("4:4:4", "4:2:0"):
            for distance in (0.3, 1.1, 4):
                given = {"distance": distance, "effort": effort, "subsampling": subsampling}
                total.update(mozcodec.encode(drawn(kind, height, width), **given))
                total.update(mozcodec.encode(drawn(kind, height, width).astype(np.uint16) * 257, **given))
    assert total.hexdigest() == EXPECTED[effort]


@pytest.mark.trial(minutes=10)
def test_other_compilers_write_the_same_bytes():
    compilers = load(COMPILERS)
    installed = [name for name, one in compilers.COMPILERS.items() if one.is_installed()]
    if len(installed) < 3:
        pytest.skip("needs clang or aarch64-linux-gnu-gcc with qemu-aarch64 beside gcc")
    found = {form: digest for name in installed for form, digest in compilers.hashes(name, 60).items()}
    assert len(set(found.values())) == 1, found
