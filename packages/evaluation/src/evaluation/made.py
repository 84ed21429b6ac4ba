"""The section of the page that says how it was made: data, weights, code, versions, settings; and the citation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from . import page, tables
from .conditions import RAW, title
from .material import Material
from .page import Block
from .records import Model

__all__ = ["bibtex", "parts", "training_faces", "verified"]

# of model.json: shown above, or long
LEFT_OUT = ("calibration", "data", "inputs", "pooled", "ranges", "source", "thresholds", "versions", "weights_sha256")
CITATION = "citation.bib"


def training_faces(model: Model) -> str:
    """Return what the faces went through that *model* was trained on, or "" if that is not known."""
    if not model.trained_on:
        return ""
    fixed = "uncompressed" if model.trained_on == RAW else f"compressed at {title(model.trained_on)}"
    histories = model.parameters.train.histories
    if histories is None or not histories.share:
        return f"faces {fixed}" if model.trained_on != RAW else "uncompressed faces"
    if histories.share == 1:
        return "faces with random histories"
    return f"faces with random histories ({100 * histories.share:g} %), the others {fixed}"


def parts(material: Material) -> list[Block]:
    """Return the counts of the data, what the page was made from, the command, the settings and how to cite it."""
    rows = [[name, value] for name, value in _facts(material) if value]
    versions = [[name, value, used] for (name, value), used in _versions(material).items()]
    settings = [[name, value] for name, value in _settings(material).items()]
    return [
        _counts(material),
        page.table("made", "What this page was made from", ["what", "value"], rows, text=(1,)),
        page.table("versions", "Versions", ["software", "version", "used by"], versions, text=(1, 2)),
        _command(material),
        page.details(
            "Settings in force", page.table("settings", "Settings in force", ["setting", "value"], settings, text=(1,))
        ) if settings else page.NOTHING,
        page.heading("Citation"),
        Block(
            f'<pre>{escape(bibtex(material))}</pre><p class="small"><a href="{CITATION}">{CITATION}</a></p>',
            f"```\n{bibtex(material)}```",
        ),
    ]  # fmt: skip


def verified(material: Material) -> str:
    """Return a sentence on whether the scores are known to come from the weights; nothing without a model."""
    if material.model is None:
        return ""
    if material.origin:
        return "The weights are those that made the scores: both records hold the same SHA-256."
    return (
        "The weights are not verified: the scores came without the record that `detector score` writes beside them, so "
        "nothing shows that this model made them."
    )


def _counts(material: Material) -> Block:
    faces = material.faces
    if not faces.faces:
        return page.NOTHING
    splits = list(dict.fromkeys(split for counts in faces.faces.values() for split in counts))
    rows = [
        [method, *(f"{counts.get(split, 0)} / {faces.videos.get(method, {}).get(split, '-')}" for split in splits)]
        for method, counts in faces.faces.items()
    ]
    header = ["method", *(f"{split}, faces / videos" for split in splits)]
    return page.table("data", "Faces and videos by method and split", header, rows)


def _facts(material: Material) -> Iterator[tuple[str, str]]:
    dataset, model, origin, summary = material.dataset, material.model, material.origin, material.summary
    if material.faces.dataset:
        yield "data", dataset.name or "not named"
        yield "licence of the data", dataset.licence or "not stated in the data's dataset.json"
    if origin and origin.faces:
        yield "SHA-256 of the index of the faces, which holds a checksum of every crop", origin.faces.index_sha256
    if summary.source:
        yield "SHA-256 of the scores", f"{summary.source.sha256} ({summary.source.rows:,} rows)"
    if model:
        yield "model", model.model or ""
        yield "SHA-256 of the weights", model.weights_sha256 or ""
        yield "do the scores come from these weights?", verified(material).replace("`", "")
        yield "training faces", training_faces(model)
        yield "code used for training", model.source.text if model.source else ""
    if origin:
        yield "code used for scoring", origin.source.text if origin.source else ""
        yield "scored on", origin.device or ""
    yield "intervals", f"{100 * summary.settings.confidence:g} %, {tables.behind(summary)}"
    if summary.settings.intervals == "bootstrap":
        yield "seed of the bootstrap", str(summary.settings.seed)


def _versions(material: Material) -> dict[tuple[str, str], str]:
    """Return the stages that used each version of each software."""
    sources = {
        "faces": material.faces.versions,
        "training": material.model.versions if material.model else {},
        "scores": material.origin.versions if material.origin else {},
        "fidelity": material.encoders,
        "metrics": material.versions,
    }
    found: dict[tuple[str, str], list[str]] = {}
    for stage, versions in sources.items():
        for name, value in versions.items():
            found.setdefault((name, str(value)), []).append(stage)
    return {key: ", ".join(stages) for key, stages in sorted(found.items())}


def _command(material: Material) -> Block:
    if not material.command:
        return page.NOTHING
    return page.joined([
        page.heading("Command"),
        Block(f"<pre>{escape(material.command)}</pre>", f"```\n{material.command}\n```"),
    ])  # fmt: skip


def _settings(material: Material) -> dict[str, str]:
    """Return the settings that had an effect: those of the model in use that are set."""
    model = {name: value for name, value in material.settings.items() if name not in LEFT_OUT}
    return _flat({"faces": material.faces.parameters, "model": model})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as ``a.b`` -> text, without those that are not set."""
    out: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            out[f"{prefix}{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return out


def bibtex(material: Material) -> str:
    """Return a BibTeX entry of this evaluation; it identifies the run by its hashes, and has no date."""
    model, source = material.model, material.summary.source
    name = (model and model.model) or "a detector"
    key = f"evaluation-{source.sha256[:12]}" if source else "evaluation"
    commit = model.source.commit if model and model.source else None
    notes = [
        f"data: {material.dataset.name}" if material.dataset.name else "",
        f"scores SHA-256 {source.sha256}" if source else "",
        f"weights SHA-256 {model.weights_sha256}" if model and model.weights_sha256 else "",
        f"code: commit {commit}" if commit else "",
    ]
    fields = {
        "title": f"Detection of fake faces after JPEG compression: evaluation of {name}",
        "howpublished": f"Report of the evaluation package, version {material.versions.get('evaluation', 'unknown')}",
        "note": "; ".join(note for note in notes if note),
    }
    lines = [f"  {field} = {{{_latex(text)}}}" for field, text in fields.items() if text]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}\n"


LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
