"""Scores of a Git revision or a DVC experiment, copied from DVC's cache."""

from __future__ import annotations

import tempfile
from pathlib import Path

__all__ = ["fetch"]


def fetch(revision: str, path: str, folder: Path) -> Path:
    """Copy the file *path* of a commit, branch, tag or DVC experiment into *folder*; return where it is.

    ValueError says what is missing: DVC, the repository, the revision, the file, or its content in DVC's cache.
    """
    try:
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
        from dvc.scm import RevError, SCMError
    except ImportError:
        raise ValueError("--rev reads revisions through DVC, which is not installed here: pip install dvc") from None
    target = Path(tempfile.mkdtemp(dir=folder)) / Path(path).name     # one of its own for a/b and for a_b
    try:
        files = DVCFileSystem(rev=revision)
        if not files.exists(path):
            raise ValueError(f"revision {revision}: it has no file {path}; --path names the scores")
        files.get_file(path, str(target))
    except (RevError, SCMError) as error:
        raise ValueError(f"revision {revision}: {error}; `git log` and `dvc exp list` show what there is") from error
    except FileNotFoundError as error:
        raise ValueError(
            f"revision {revision}: {path} is not in DVC's cache; run `dvc pull`, or `dvc repro` at this revision"
        ) from error
    except DvcException as error:
        raise ValueError(f"revision {revision}: {error}") from error
    return target
