"""C2PA manifests (Content Credentials): presence and validity.

A manifest store is a JUMBF superbox (ISO/IEC 19566-5) in APP11 segments (C2PA Specification 2.1, 11.3). Its boxes are
listed here; validation needs the package c2pa-python (extra ``mozcodec[c2pa]``).
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._metadata import Segment

_APP11 = 0xEB
_MOST_BYTES = 64 << 20
_MOST_BOXES = 10_000
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class ContentCredentials:
    """The C2PA manifest store of a file."""

    embedded: bool
    """Whether the file has a manifest store of its own."""
    remote: str | None
    """The address of a store elsewhere that XMP names (dcterms:provenance). It is not fetched."""
    manifests: tuple[str, ...]
    """Labels of the manifests in the store; the last one is the active manifest."""
    assertions: tuple[str, ...]
    """Labels of the assertions of the active manifest."""
    state: str
    """"absent", "not validated" (c2pa-python is not installed), "invalid", "valid" (the file and the manifest are
    unchanged since they were signed by whoever holds the key) or "trusted" (and the key's owner is on the trust list).
    """
    generator: str | None = None
    """The program that signed, according to the validated manifest."""
    issuer: str | None = None
    """The issuer of the certificate; unless *state* is "trusted", anybody can write any name."""
    problems: tuple[str, ...] = ()
    """C2PA's status codes of failed checks, or the damage of the store."""


def read_content_credentials(data: bytes, segments: Sequence[Segment], provenance: str | None) -> ContentCredentials:
    """Return the manifest store of a JPEG; *provenance* is the property dcterms:provenance of its XMP.

    *segments* are those before its first scan.
    """
    remote = provenance if provenance is not None and provenance.startswith(("http://", "https://")) else None
    store, problems = _store(segments)
    if store is None:
        return ContentCredentials(False, remote, (), (), "absent", problems=problems)
    labels, problems = _labels(store)
    manifests = tuple(label for depth, label in labels if depth == 1)
    last = max((i for i, (depth, _) in enumerate(labels) if depth == 1), default=0)
    inside = [i for i, (depth, label) in enumerate(labels) if i > last and (depth, label) == (2, "c2pa.assertions")]
    assertions = []
    for depth, label in labels[inside[0] + 1 :] if inside else ():
        if depth <= 2:
            break
        if depth == 3:
            assertions.append(label)
    found = _validated(data)
    return ContentCredentials(
        True,
        remote,
        manifests,
        tuple(assertions),
        found["state"],
        found.get("generator"),
        found.get("issuer"),
        (*problems, *found.get("problems", ())),
    )


def _store(segments: Sequence[Segment]) -> tuple[bytes | None, tuple[str, ...]]:
    """Return the box of the C2PA manifest store, joined from its segments (ISO/IEC 19566-5, Annex D)."""
    parts: dict[int, list[tuple[int, bytes]]] = {}
    for segment in segments:
        content = bytes(segment.data)
        # "JP", number of the box, number of its segment, then the box: size, type
        if segment.marker == _APP11 and content[:2] == b"JP" and len(content) >= 16 and content[12:16] == b"jumb":
            number, order = int.from_bytes(content[2:4], "big"), int.from_bytes(content[4:8], "big")
            parts.setdefault(number, []).append((order, content[8:]))
    for pieces in parts.values():
        pieces.sort(key=lambda piece: piece[0])
        box = pieces[0][1] + b"".join(piece[8:] for _, piece in pieces[1:])  # each repeats size and type
        if box[16:20] == b"c2pa":  # the UUID of the description box
            is_whole = [order for order, _ in pieces] == list(range(1, len(pieces) + 1))
            return box[:_MOST_BYTES], () if is_whole else ("segments of the manifest store are missing",)
    return None, ()


def _labels(store: bytes) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Return the labels of the superboxes in order, with their depth."""
    found: list[tuple[int, str]] = []
    open_boxes = [(0, len(store), 0)]
    while open_boxes:
        at, end, depth = open_boxes.pop()
        if at + 8 > end:
            continue
        size, kind = int.from_bytes(store[at : at + 4], "big"), store[at + 4 : at + 8]
        if not 8 <= size <= end - at or len(found) > _MOST_BOXES:
            return found, ("a box of the manifest store is longer than the store",)
        open_boxes.append((at + size, end, depth))
        if kind == b"jumb" and depth < _DEEPEST:
            first = int.from_bytes(store[at + 8 : at + 12], "big")
            if store[at + 12 : at + 16] == b"jumd" and 25 <= first <= size - 8:
                label = store[at + 33 : at + 8 + first].split(b"\0")[0].decode("utf-8", "replace")
                found.append((depth, label[:200]))
                open_boxes.append((at + 8 + first, at + size, depth + 1))
    return found, ()


def _validated(data: bytes) -> dict[str, Any]:
    try:
        import c2pa
    except ImportError:
        return {"state": "not validated"}
    offline = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(offline))
        with c2pa.Reader("image/jpeg", io.BytesIO(data), context=context) as reader:
            store, state = json.loads(reader.json()), str(reader.get_validation_state())
    except c2pa.C2paError as error:
        return {"state": "invalid", "problems": (str(error)[:500],)}
    active = store["manifests"][store["active_manifest"]]
    info = active.get("claim_generator_info") or [{}]
    named = " ".join(str(info[0][key]) for key in ("name", "version") if key in info[0])
    return {
        "state": state.lower(),
        "generator": named or active.get("claim_generator"),
        "issuer": (active.get("signature_info") or {}).get("issuer"),
        "problems": tuple(status["code"] for status in store.get("validation_status") or ()),
    }
