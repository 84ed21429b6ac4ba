"""Everything that the other modules find in a file, as plain values and as text."""

import dataclasses
from typing import Any

import numpy as np

from .._errors import JpegError
from .._inputs import Source, content_of
from .._inspect import inspect
from .double import DoubleCompression, Luma, double_compression, read_luma
from .encoder import identified, qualities_of
from .ghosts import Ghosts, ghosts
from .grids import Grid, grid
from .metadata import described

SCHEMA = 1
"""Number of the form that :func:`report` returns; it grows where a key changes its meaning or is dropped."""


def report(data: Source, **limits: Any) -> dict[str, Any]:
    """Return what all functions say of a file, as values that JSON has.

    Keys: ``schema``, ``encoder``, ``quality`` (a list, one entry for each component), ``double_compression``,
    ``ghosts``, ``grid`` (without their maps: the share and the bounding box of the part that differs), ``metadata`` and
    ``not_analysed`` (key: reason), for what the file does not support; its value is None then. *limits* are those of
    :func:`read_luma`. Raises the errors of :func:`mozcodec.read_header`.
    """
    stream = bytes(content_of(data))
    structure = inspect(stream)
    metadata = described(stream, structure.header, structure.parts)
    found: dict[str, Any] = {"schema": SCHEMA, "metadata": _plain(metadata)}
    missing: dict[str, str] = {}

    def fill(analyses: dict[str, Any], given: Any) -> None:
        for key, function in analyses.items():
            try:
                found[key] = function(given)
            except JpegError as error:
                found[key], missing[key] = None, str(error)

    fill(_OF_TABLES, structure)
    try:
        luma: Any = read_luma(stream, **limits)
    except JpegError as error:
        found.update(dict.fromkeys(_OF_LUMA))
        missing.update(dict.fromkeys(_OF_LUMA, str(error)))
    else:
        fill(_OF_LUMA, luma)
    return {**found, "not_analysed": missing}


def identification(data: Source) -> dict[str, Any]:
    """Return what :func:`mozcodec.forensics.identify` and ``estimate_quality`` say, as values that JSON has."""
    found = inspect(bytes(content_of(data)))
    return {"schema": SCHEMA, "encoder": _plain(identified(found)), "quality": _plain(qualities_of(found))}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _double(data: Luma) -> dict[str, Any]:
    found: DoubleCompression = double_compression(data)
    return {**_plain(found), "aligned": found.aligned}


def _region(found: Ghosts | Grid) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(found.region.any(axis=axis)) for axis in (1, 0))
    box = None
    if len(rows):
        edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        box = [min(int(edge) * found.side, most) for edge, most in zip(edges, found.size * 2, strict=True)]
    return {
        "detected": found.detected,
        "largest_evidence": float(found.evidence.max()),
        "share": float(found.region.mean()),
        "box": box,
        "side": found.side,
    }


def _ghosts(data: Luma) -> dict[str, Any]:
    found = ghosts(data)
    inside = found.qualities[found.region]
    common = int(np.bincount(inside).argmax()) if inside.size else 0
    rest = {"quality": found.quality, "quant_table": found.quant_table}
    return {**_region(found), **rest, "part_quality": common or None}


def _grid(data: Luma) -> dict[str, Any]:
    found = grid(data)
    inside = found.offsets[found.region].astype(int)
    codes = inside[:, 0] * 8 + inside[:, 1]
    common = int(np.bincount(codes).argmax()) if codes.size else 0
    return {
        **_region(found),
        "offset": _plain(found.offset),
        "part_offset": list(divmod(common, 8)) if common else None,
    }


_OF_TABLES: dict[str, Any] = {
    "encoder": lambda found: _plain(identified(found)),
    "quality": lambda found: _plain(qualities_of(found)),
}
_OF_LUMA: dict[str, Any] = {"double_compression": _double, "ghosts": _ghosts, "grid": _grid}


# ---- text -----------------------------------------------------------------------------------------------------------


def encoder_lines(found: dict[str, Any]) -> list[str]:
    """Return :func:`identification`, or the same keys of :func:`report`, as text."""
    encoder, qualities = found["encoder"], found["quality"]
    if encoder is None:
        return [f"encoder: not analysed: {found['not_analysed']['encoder']}"]
    first, second = encoder["candidates"][:2]
    if encoder["exact"]:
        lines = [f"encoder: {encoder['family']}, {encoder['settings']} (tables exactly)"]
        if encoder["doubtful"]:
            lines = [
                f"encoder: tables of {encoder['family']}, {encoder['settings']}; doubtful: the layout of the file is "
                f"not {encoder['family']}'s, so another program or a camera with the same tables wrote it"
            ]
    else:
        lines = [
            f"encoder: custom tables, fingerprint {encoder['fingerprint'][:16]}; nearest {first['family']} "
            f"{first['settings']} (distance {first['table_distance']:.3f})"
        ]
    lines.append(f"  next candidate: {second['family']} {second['settings']} (distance {second['table_distance']:.3f})")
    texts = [
        f"{one['quality']} of table {one['quant_table']}" + ("" if one["exact"] else " (nearest)") for one in qualities
    ]
    lines.append("  quality by component: " + ", ".join(texts))
    return [*lines, *(f"  {text}" for text in encoder["evidence"])]


def report_lines(found: dict[str, Any]) -> list[str]:
    """Return :func:`report` as text."""
    lines = encoder_lines(found)
    missing = found["not_analysed"]
    double = found["double_compression"]
    if double is None:
        lines.append(f"earlier compression: not analysed: {missing['double_compression']}")
    else:
        lines += _double_lines(double)
    for key, title in (("ghosts", "parts of another earlier quality"), ("grid", "parts of another grid")):
        one = found[key]
        if one is None:
            lines.append(f"{title}: not analysed: {missing[key]}")
        elif one["detected"] is not False:
            where = f"{one['share']:.0%} of the image, within {one['box']}; {_part(one)}"
            if one["detected"] is None:
                where = f"cannot be told, most of the image was compressed before; look at the map: {where}"
            lines.append(f"{title}: {where}")
        else:
            lines.append(f"{title}: none found (largest evidence {one['largest_evidence']:.1f})")
    return lines + _metadata_lines(found["metadata"])


def _part(one: dict[str, Any]) -> str:
    if "part_quality" in one:
        rest = "no earlier compression that shows" if one["quality"] is None else f"quality {one['quality']}"
        part = "no such trace" if one["part_quality"] is None else f"quality {one['part_quality']}"
        return f"the rest has {rest}, this part {part}"
    part = "no such trace" if one["part_offset"] is None else f"blocks from row and column {one['part_offset']}"
    return f"this part has {part}"


def _double_lines(double: dict[str, Any]) -> list[str]:
    shifted, lines = double["shifted"], []
    if double["detected"]:
        lines.append(
            f"earlier compression: on the same grid, quality {double['quality']} of table {double['quant_table']} "
            f"(evidence {double['evidence']:.2f})"
        )
    if shifted["detected"]:
        lines.append(
            f"earlier compression: blocks from row {shifted['offset'][0]} and column {shifted['offset'][1]}, quality "
            f"{shifted['quality']} of table {shifted['quant_table']} (evidence {shifted['evidence']:.1f}): cropped or "
            "moved since"
        )
    return lines or ["earlier compression: none found; one that was finer than the last leaves no trace"]


def _metadata_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"metadata: {', '.join(found['software']) or 'no program named'}"]
    camera = " ".join(str(found["exif"][name]) for name in ("Make", "Model") if name in found["exif"])
    if camera:
        lines.append(f"  camera: {camera}")
    thumbnail = found["thumbnail"]
    if thumbnail is not None and thumbnail["similarity"] is not None:
        lines.append(
            f"  thumbnail {thumbnail['width']} x {thumbnail['height']}: correlation with the image "
            f"{thumbnail['similarity']:.2f}, {thumbnail['turn']}"
        )
    lines.append(f"  C2PA manifest: {found['content_credentials']['state']}")
    lines += [f"  {one['kind']}, {one['subject']}: {one['text']}" for one in found["findings"]]
    return lines
