"""The table of data layouts that ``detector faces`` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..config import FacesConfig
from ..errors import DataError
from ..remote import Later
from . import celebdf, dfdc, folders, layout

__all__ = ["READERS", "Reader", "read_data", "reader_of"]


@dataclass(frozen=True, slots=True)
class Reader:
    """A layout of data: a description, a test for it, and its reader.

    help: a one-line description. recognises: whether a folder has this layout. read: returns the clips of a folder
    that the parameters of the faces stage select, each with its split; see `layout.Clip`. read_later: the
    same for a folder that has only the start of the files in a mapping (`remote.placed`), if `read` needs more of them.
    """

    help: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, FacesConfig], layout.Tree]
    read_later: Callable[[Path, Mapping[Path, Later]], layout.Tree] | None = None


def _read_tree(root: Path, config: FacesConfig) -> layout.Tree:
    return layout.find_clips(root, config.compression, config.methods)


def _read_folders(root: Path, _config: FacesConfig) -> layout.Tree:
    return folders.find_pictures(root)


def _read_celebdf(root: Path, _config: FacesConfig) -> layout.Tree:
    return celebdf.find_celebdf(root)


def _read_dfdc(root: Path, _config: FacesConfig) -> layout.Tree:
    return dfdc.find_dfdc(root)


# the first reader that recognises a folder is used
READERS: dict[str, Reader] = {
    "manifest": Reader(
        "manifest.csv that lists images and videos", folders.has_manifest, _read_folders, folders.find_pictures
    ),
    "folders": Reader(
        "folders real and fake, in train, val and test or not", folders.is_plain, _read_folders, folders.find_pictures
    ),
    "celebdf": Reader("Celeb-DF v2", celebdf.is_celebdf, _read_celebdf),
    "dfdc": Reader("DFDC, with the metadata.json of each part", dfdc.is_dfdc, _read_dfdc),
    "faceforensics": Reader("FaceForensics++ tree with its split files", layout.is_tree, _read_tree),
}


def reader_of(data: str | Path) -> str:
    """Return the name of the reader of the folder *data*; DataError if it does not exist or has no known layout."""
    root = Path(data)
    layout.check_root(root)
    for name, reader in READERS.items():
        if reader.recognises(root):
            return name
    known = "; ".join(reader.help for reader in READERS.values())
    raise DataError(f"{root}: no known layout of data (see docs/faceforensics.md); it may be: {known}")


def read_data(
    data: str | Path, config: FacesConfig, later: Mapping[Path, Later] = MappingProxyType({})
) -> layout.Tree:
    """Return the clips in the folder *data* in any known layout; DataError names what is wrong.

    Of the files *later*, the folder has only the start (`remote.placed`).
    """
    reader = READERS[reader_of(data)]
    if later and reader.read_later is not None:
        return reader.read_later(Path(data), later)
    return reader.read(Path(data), config)
