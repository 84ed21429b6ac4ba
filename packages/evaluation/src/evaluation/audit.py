"""The section of the page on the audit of the data, and its summary for the top of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import page
from .findings import Audit, Leak, Shortcut, expected_number, findings, leak_sentence, shown
from .page import Block, Cell, heat

__all__ = ["ALERT", "headline", "parts"]

ALERT = "The audit found shortcuts or leaks in the data."
MISSING = (
    "No audit of the data was given (`detector audit`, then --audit audit.json), so differences between the "
    "classes in format, size, encoder or borders, and near-duplicates, were not looked for."
)
NONE = "The audit found nothing notable: no shared people or files, no interval above the margin."


def headline(
    audit: Audit | None, detector: Mapping[str, tuple[float, str]], shared: Sequence[Leak] = ()
) -> list[str]:
    """Return the sentences for the top of the page.

    *detector* has the AUC of the detector, and its text with the interval, by name of the condition; *shared* is what
    the splits of the scores share.
    """
    known = {leak.kind for leak in audit.leaks} if audit else set()
    found = [leak_sentence(leak) for leak in shared if leak.kind not in known]
    return found if audit is None else [*found, *findings(audit, detector)]


def parts(
    audit: Audit | None, detector: Mapping[str, tuple[float, str]], shared: Sequence[Leak] = (), best: str = ""
) -> list[Block]:
    """Return the parts of the section; without an audit, that it is missing, and what the splits share.

    *best* is the highest AUC of the detector with its interval, as text.
    """
    found = headline(audit, detector, shared)
    if audit is None:
        return [page.items(found), page.paragraph(MISSING)]
    crops = sum(sum(by_split.values()) for by_split in audit.faces.values())
    compared = f" The detector reaches {best} in its best condition." if best else ""
    return [
        page.paragraph(
            "How well can real and fake faces be told apart without any trace of forgery? A detector that relies on "
            "such properties has learned how the data were collected. Sharpness and colour can also be effects of "
            "the forgery itself."
        ),
        page.items(found) if found else page.paragraph(NONE),
        page.table(
            "audit",
            "How well each property that is unrelated to forgery separates real from fake",
            ["property", "AUC", "strongest for, or reason", "real", "fake", "n real", "n fake"],
            [_row(row) for row in audit.shortcuts],
            f"{crops} crops of all splits. AUC of a logistic regression on the property alone, cross-validated: each "
            "crop is scored by a model trained without its pair. An AUC below .5 means the same as .5. "
            f"{100 * audit.confidence:g} % intervals by {audit.unit}. Real and fake: the commonest values with their "
            "shares, or the median with the range from 5 % to 95 % of the crops. Strongest for: the method whose fakes "
            "the property separates best from real faces. A property is a finding if its interval lies above "
            f"{audit.notable_above:g} or if its AUC reaches that of the detector in some condition.{compared}",
            text=(2, 3, 4),
        ),
        _leaks(audit),
        page.items(audit.notes) if audit.notes else page.NOTHING,
    ]


def _row(row: Shortcut) -> list[Cell]:
    best = row.strongest
    more = row.reason if best is None else f"{best.method} {best.auc:.3f} [{best.lo:.3f}, {best.hi:.3f}]"
    auc: Cell = "undefined" if row.auc is None else heat(row.auc, shown(replace(row, reason="")))
    return [row.title, auc, more, row.real, row.fake, str(row.num_real), str(row.num_fake)]


def _leaks(audit: Audit) -> Block:
    counts = {leak.kind: leak for leak in audit.leaks}
    kinds = (
        ("person", "people"),
        ("pair", "pairs or groups of people"),
        ("file", "identical source files"),
        ("near-duplicate", "near-duplicate crop pairs"),
    )
    rows: list[list[Cell]] = []
    for kind, words in kinds:
        leak = counts.get(kind)
        rows.append([words, str(leak.count) if leak else "0", "; ".join(leak.examples) if leak else ""])
    near = audit.near_duplicates
    note = ""
    if near is not None:
        rows[-1][1] = str(near.num_near)
        note = (
            f"Near-duplicate: {near.definition}, at most {near.limit}. {near.num_compared} crop pairs across splits "
            f"were compared; {expected_number(near)} would be near-duplicates by chance, because {near.num_false} of "
            f"{near.num_different} crop pairs of different people within one split are."
        )
    header = ["what", "in more than one split", "examples"]
    return page.table("leaks", "What the splits share", header, rows, note, text=(2,))
