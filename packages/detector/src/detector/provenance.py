"""The origin of weights: versions of the libraries and the commit of the source code."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "source", "versions"]

PACKAGE = Path(__file__).parent
CODEC = "packages/mozcodec"
PARTS = ("packages/*/src/*", f"{CODEC}/csrc/*", f"{CODEC}/cmake/*", f"{CODEC}/CMakeLists.txt")


@dataclass(frozen=True, slots=True)
class Source:
    """The last commit that changed the source of our packages, and whether files differ from it.

    Both are None, with a reason, if they are unknown: without git, or for a package installed from a wheel.
    """

    commit: str | None
    modified: bool | None
    reason: str | None = None


def source(package: Path = PACKAGE) -> Source:
    """Return the commit of the source tree that *package* lies in.

    It is the last commit that changed a file of the packages, so other commits do not change the recorded value. A
    repository that merely contains the installed package is ignored.
    """
    try:
        root = Path(_git(package, "rev-parse", "--show-toplevel"))
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(root, "log", "-1", "--format=%H", "--", *PARTS)
        modified = _git(root, "status", "--porcelain", "--untracked-files=normal", "--", *PARTS)
    except FileNotFoundError:
        return Source(None, None, "git is not installed")
    except subprocess.CalledProcessError:
        return Source(None, None, "the package does not lie in a git work tree")
    if not commit:
        return Source(None, None, "no commit holds the source")
    return Source(commit, bool(modified))


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of the libraries used in training and scoring."""
    import cv2
    import numpy as np
    import torch

    import mozcodec

    from . import __version__

    build = mozcodec.build_info()
    return {
        "detector": __version__,
        "mozcodec": str(build["version"]),
        "mozjpeg": str(build["mozjpeg_version"]),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "timm": importlib.metadata.version("timm"),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
