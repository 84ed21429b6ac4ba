"""The section of the page that shows the files of ``detector explain``: heat maps and feature vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import conditions, features, page, plots, tables
from .clusters import UNIT_NAMES
from .features import Features
from .files import Picture, read_csv, read_png
from .page import Block
from .records import Localization, Map

__all__ = ["Explained", "parts", "read"]

PLAIN = ("face", "mask")  # kinds that are not heat maps
AGAIN = "run `detector explain` again to rewrite it"
FACES_SHOWN = 2
ALL = "all"


@dataclass(frozen=True, slots=True)
class Explained:
    """Maps by face, their images, localization, the feature vectors and their embedding."""

    faces: list[list[Map]]
    pictures: dict[str, Picture]
    localization: list[Localization]
    features: Features
    plane: NDArray[np.float64]  # (N, 2)

    @property
    def drawable(self) -> bool:
        """Whether there were enough vectors for an embedding."""
        return len(self.plane) > 0 and not bool(np.isnan(self.plane).any())


def read(folder: str | Path) -> Explained:
    """Return the content of the *folder* of ``detector explain``; ValueError or OSError names an unusable file."""
    folder = Path(folder)
    rows = read_csv(folder / "maps.csv", Map, AGAIN)
    faces: dict[str, list[Map]] = {}
    for row in rows:
        faces.setdefault(row.key, []).append(row)
    found = features.read(folder / "features.npy", folder / "features.csv")
    return Explained(
        faces=list(faces.values()),
        pictures={row.file: read_png(folder, row.file, f"maps.csv lists it; {AGAIN}") for row in rows},
        localization=read_csv(folder / "localization.csv", Localization, AGAIN),
        features=found,
        plane=features.embed(found.vectors),
    )


def parts(explained: Explained | None) -> list[Block]:
    """Return heat maps, the share of their heat inside the masks, and the embedding of the vectors."""
    return [] if explained is None else [_heat_maps(explained), _localization(explained), _features(explained)]


def kind_name(kind: str) -> str:
    """Return ``Grad-CAM`` or ``attention 1``."""
    return "Grad-CAM" if kind == "grad_cam" else kind.replace("_", " ")


def _heat_maps(explained: Explained) -> Block:
    faces, pictures = explained.faces, explained.pictures
    if not faces:
        return page.NOTHING
    fitting = page.fitting(sum(len(pictures[row.file].data) for row in face) for face in faces)
    blocks = [_face(face, pictures) for face in faces[:fitting]]
    caption = (
        "Top: the input of the model with its score P(fake). Below: the heat map over the gray image. Each map is "
        "scaled to its own maximum, so colours can be compared within an image, not between images. The mask is "
        "white where the forgery changed the face. Grad-CAM shows evidence for fake; on a real face it shows what "
        "misleads the model."
    )
    if fitting < len(faces):
        caption += f" {len(faces) - fitting} more faces are in the folder of the explain stage."
    more = blocks[FACES_SHOWN:]
    described = "Heat maps over faces by condition"
    shown = page.figure("\n".join(blocks[:FACES_SHOWN]), caption, described)
    rest = page.figure("\n".join(more), caption, f"{described}, more faces") if more else page.NOTHING
    return page.joined([page.heading("Heat maps"), shown, page.details(f"{len(more)} more", rest)])


def _face(face: Sequence[Map], pictures: Mapping[str, Picture]) -> str:
    """Return one face: a row of images for the crop and for each kind of map, one image per condition."""
    by = {(row.kind, row.condition): row for row in face}
    names = list(dict.fromkeys(row.condition for row in face if row.kind != "mask"))
    kinds = [kind for kind in dict.fromkeys(row.kind for row in face) if kind not in PLAIN]
    columns = len(names) + any(row.kind == "mask" for row in face)
    cells = [_cell(by.get(("face", name)), conditions.title(name), pictures) for name in names]
    masks = [_cell(row, "mask", pictures, score=False) for row in face if row.kind == "mask"]
    key, grids = escape(face[0].key), [_grid([*cells, *masks[:1]], columns)]
    for kind in sorted(kinds, key=lambda kind: (kind != "grad_cam", kind)):
        cells = [_cell(by.get((kind, name)), "", pictures, score=False) for name in names]
        grids.append(f'<div class="small">{escape(kind_name(kind))}</div>{_grid(cells, columns)}')
    return f'<div class="small">{key}</div>{"".join(grids)}'


def _grid(cells: Sequence[str], columns: int) -> str:
    return f'<div class="faces" style="--n:{columns}">{"".join(cells)}</div>'


def _cell(row: Map | None, label: str, pictures: Mapping[str, Picture], score: bool = True) -> str:
    if row is None:
        return '<div class="face"></div>'
    described = escape(f"{row.key}, {conditions.title(row.condition)}, {row.kind}")
    image = f'<img alt="{described}" src="{page.data_uri(pictures[row.file].data)}">'
    words = (f"<b>{escape(label)}</b>" if label else "") + (f"<span>score {row.score:.3f}</span>" if score else "")
    return f'<div class="face">{image}{words}</div>'


def _localization(explained: Explained) -> Block:
    rows = explained.localization
    if not rows:
        return page.NOTHING
    header = ["condition", "map", "share in the mask", "average map", "gain", "area of the mask", "fakes"]

    def line(row: Localization, first: str) -> list[str]:
        return [first, kind_name(row.kind), *row.texts(), str(row.n)]

    every = [line(row, conditions.title(row.condition)) for row in rows if row.method == ALL]
    by_method = [
        line(row, f"{conditions.title(row.condition)}, {row.method}") for row in rows if row.method != ALL
    ]
    caption = (
        "Share of a map's heat inside the mask of the forgery, mean over the fakes. Faces and masks are centred, so a "
        "map that ignores the image also has much of its heat inside; the share of the average map is this baseline. "
        "A gain near 0 means that the maps do not locate the forgery."
    )
    units = [UNIT_NAMES[row.unit] for row in rows if row.unit in UNIT_NAMES]
    if units:
        caption += f" 95 % intervals by {units[0]}; the average map is taken as given."
    return page.joined([
        page.table("localization", "Do the maps locate the forgery?", header, every, caption, text=(1,)),
        page.details("By forgery method", page.table(
            "localization-by-method", "Localization by forgery method", header, by_method, text=(1,)
        ) if by_method else page.NOTHING),
    ])  # fmt: skip


def _features(explained: Explained) -> Block:
    found = explained.features
    if not explained.drawable:
        return page.NOTHING
    apart = []
    for name in found.conditions:
        apart.append(f"{conditions.title(name)} {tables.range_text(features.silhouette_range(found, name))}")
    by = f", 95 % intervals by {UNIT_NAMES[found.clusters.unit]}" if found.clusters else ""
    caption = (
        f"t-SNE embedding of the input of the last layer ({found.vectors.shape[1]} values) for "
        f"{len(found) // max(len(found.conditions), 1)} test faces; each face appears once per panel. Neighbours "
        "in the figure are neighbours in the vectors; distances between clusters and their sizes have no meaning. "
        f"Silhouette of real against fake in the vectors (1: separate clusters, 0: mixed{by}): {', '.join(apart)}."
    )
    description = "t-SNE of the features by forgery method and condition"
    return page.chart("features", lambda theme: plots.embedding(explained.plane, found, theme), caption, description)
