"""Where a model looks and what it sees: the files of ``detector explain``, laid out for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import features, page, plots, tables
from .features import Features
from .scores import sorted_qualities

__all__ = ["Explained", "read", "section"]

MAPS = ("file", "key", "quality", "kind", "score", "peak")
LOCALIZATION = ("quality", "kind", "method", "n", "inside", "average", "covered")
PLAIN = ("face", "mask")  # pictures that are no heat map
FACES_SHOWN = 2
ALL = "all"


@dataclass(frozen=True, slots=True)
class Explained:
    """The rows of maps.csv by face, its pictures, the rows of localization.csv, the vectors, and these in the plane."""

    faces: list[list[dict[str, Any]]]
    pictures: dict[str, bytes]
    localization: list[dict[str, Any]]
    features: Features
    plane: NDArray[np.float64]  # (N, 2)

    @property
    def drawable(self) -> bool:
        """Whether there are enough vectors to lay them into the plane."""
        return len(self.plane) > 0 and not bool(np.isnan(self.plane).any())


def read(folder: str | Path) -> Explained:
    """Return what the *folder* of ``detector explain`` holds; ValueError or OSError names a file that is not right."""
    folder = Path(folder)
    rows = tables.read_csv(folder / "maps.csv", MAPS, text=("file", "key", "quality", "kind"))
    faces: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        faces.setdefault(row["key"], []).append(row)
    found = features.read(folder / "features.npy", folder / "features.csv")
    return Explained(
        faces=list(faces.values()),
        pictures={row["file"]: (folder / row["file"]).read_bytes() for row in rows},
        localization=tables.read_csv(
            folder / "localization.csv", LOCALIZATION, text=("quality", "kind", "method"), whole=("n",)
        ),
        features=found,
        plane=features.embed(found.vectors),
    )


def section(explained: Explained | None) -> str:
    """Return the part of the page: heat maps, how much of them lies in the masks, the vectors in the plane."""
    if explained is None:
        return ""
    return page.section("Where the model looks", _heat_maps(explained), _localization(explained), _features(explained))


def kind_name(kind: str) -> str:
    """Return ``Grad-CAM`` or ``attention 1``."""
    return "Grad-CAM" if kind == "grad_cam" else kind.replace("_", " ")


def _heat_maps(explained: Explained) -> str:
    blocks = [_face(face, explained.pictures) for face in explained.faces]
    if not blocks:
        return ""
    caption = (
        "Above, the face as the model is given it, with its score P(fake); below, the heat on it in gray. Each map's "
        "brightest colour is its own largest value: colours compare places, not pictures. The mask (white) is where "
        "the forgery changed the face. Grad-CAM shows what speaks for fake, so on a real face it shows what misleads."
    )
    more = blocks[FACES_SHOWN:]
    return page.figure("\n".join(blocks[:FACES_SHOWN]), caption, "") + (
        page.details(f"{len(more)} more", page.figure("\n".join(more), caption, "")) if more else ""
    )


def _face(face: Sequence[Mapping[str, Any]], pictures: Mapping[str, bytes]) -> str:
    """Return one face: a line of pictures for the crop and for each kind of map, one picture per quality."""
    by = {(row["kind"], row["quality"]): row for row in face}
    qualities = sorted_qualities({row["quality"] for row in face})
    kinds = [kind for kind in dict.fromkeys(row["kind"] for row in face) if kind not in PLAIN]
    columns = len(qualities) + any(row["kind"] == "mask" for row in face)
    cells = [_cell(by.get(("face", quality)), plots.quality_label(quality), pictures) for quality in qualities]
    masks = [_cell(row, "mask", pictures, score=False) for row in face if row["kind"] == "mask"]
    key, grids = escape(face[0]["key"]), [_grid([*cells, *masks[:1]], columns)]
    for kind in sorted(kinds, key=lambda kind: (kind != "grad_cam", kind)):
        cells = [_cell(by.get((kind, quality)), "", pictures, score=False) for quality in qualities]
        grids.append(f'<div class="small">{escape(kind_name(kind))}</div>{_grid(cells, columns)}')
    return f'<div class="small">{key}</div>{"".join(grids)}'


def _grid(cells: Sequence[str], columns: int) -> str:
    return f'<div class="faces" style="--n:{columns}">{"".join(cells)}</div>'


def _cell(row: Mapping[str, Any] | None, label: str, pictures: Mapping[str, bytes], score: bool = True) -> str:
    if row is None:
        return '<div class="face"></div>'
    described = escape(f"{row['key']}, {plots.quality_label(row['quality'])}, {row['kind']}")
    image = f'<img alt="{described}" src="{page.data_uri(pictures[row["file"]])}">'
    words = (f"<b>{escape(label)}</b>" if label else "") + (f"<span>score {row['score']:.3f}</span>" if score else "")
    return f'<div class="face">{image}{words}</div>'


def _localization(explained: Explained) -> str:
    rows = explained.localization
    if not rows:
        return ""
    header = ["quality", "map", "heat in the mask", "of the average map", "gain", "mask's share", "fakes"]

    def line(row: Mapping[str, Any], first: str) -> list[str]:
        gain = row["inside"] - row["average"]
        shares = [tables.number(row["inside"]), tables.number(row["average"]), f"{gain:+.3f}"]
        return [first, kind_name(row["kind"]), *shares, tables.number(row["covered"]), str(row["n"])]

    every = [line(row, plots.quality_label(row["quality"])) for row in rows if row["method"] == ALL]
    by_method = [
        line(row, f"{plots.quality_label(row['quality'])}, {row['method']}") for row in rows if row["method"] != ALL
    ]
    caption = (
        "Part of a map's heat that lies inside the forgery's mask, mean over the fakes. Faces and masks are in the "
        "middle, and so is the heat of a map that knows nothing of the single picture: only what is above the average "
        "map's share was found in the picture. A gain near 0 means that the maps do not point at the forgery."
    )
    return page.table(header, every, caption, text=(1,)) + (
        page.details("By forgery method", page.table(header, by_method, "", text=(1,))) if by_method else ""
    )


def _features(explained: Explained) -> str:
    found = explained.features
    if not explained.drawable:
        return ""
    apart = []
    for quality in found.qualities:
        here = found.quality == quality
        part = Features(found.vectors[here], found.method[here], found.label[here], found.quality[here])
        apart.append(f"{plots.quality_label(quality)} {tables.number(features.silhouette(part))}")
    chart = plots.svg(plots.embedding(explained.plane, found, plots.PAGE))
    caption = (
        f"What the last layer sees of {len(found) // max(len(found.qualities), 1)} test faces "
        f"({found.vectors.shape[1]} numbers each), laid into one plane by t-SNE; every face stands in each panel once. "
        "Near in the picture is near in the vectors; distances between clusters and their sizes mean nothing. How far "
        f"real and fake lie apart in the vectors themselves (silhouette, 1 two clusters, 0 mixed): {', '.join(apart)}."
    )
    return page.figure(chart, caption, "t-SNE of the features, by forgery method and quality")
