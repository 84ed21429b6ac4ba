"""The model card: what weights are, what they were made from and what they are not for, as Markdown for people.

It says the same whenever the run is repeated: no dates, no machine, no rates. model.json beside it is for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.index import Face

__all__ = ["model_card"]

TEXT = """# {model}, trained on {dataset}

{table}

## Use

To tell whether the face in a picture was forged by the methods above, and how the answer changes under JPEG.
`detector predict PICTURE --train FOLDER` cuts out the face and scores it; `detector export` writes one file that needs
none of this code. In Python: `detector.weights.load_model(FOLDER, device)`. It takes RGB in [0, 1],
(N, 3, {height}, {width}), and gives logits, whose sigmoid is P(fake).

## Limits

- Faces of another framing, size or alignment than that of `detector faces` were not trained on.
- Forgeries by other methods than those above, and faces that are made from nothing, were not trained on.
- The score is no probability that was calibrated on test data, and .5 no threshold that was chosen for an error rate.
- What it gets right at which JPEG quality, with intervals, is told by the evaluation of the run (`out/report`).
{note}
## Parameters

```yaml
{parameters}
```
"""


def model_card(
    card: Mapping[str, Any], summary: Mapping[str, Any], parameters: int, training: Sequence[Face], num_validation: int
) -> str:
    """Return the model card of the weights that model.json, *card*, describes.

    *summary* is the summary.json of the crops, empty if they have none; *parameters* their number in the model;
    *training* the faces trained on, beside which *num_validation* chose or watched.
    """
    dataset = summary.get("dataset", {})
    note = f"- {dataset['note']}\n" if dataset.get("note") else ""
    # when the run saved on its way is no part of what it learnt
    recipe = {name: value for name, value in card["parameters"]["train"].items() if name != "checkpoint"}
    rows = _rows(card, summary, parameters, training, num_validation)
    return TEXT.format(
        model=card["model"],
        dataset=dataset.get("name", "packed crops"),
        height=card["height"],
        width=card["width"],
        table="\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]),
        note=note,
        parameters="\n".join(_yaml({**card["parameters"], "train": recipe})),
    )


def _rows(
    card: Mapping[str, Any], summary: Mapping[str, Any], parameters: int, training: Sequence[Face], num_validation: int
) -> list[tuple[str, str]]:
    compress = summary.get("compress", {})
    options = [f"{name} {compress[name]}" for name in ("subsampling", "tune") if compress.get(name)]
    encoder = compress.get("encoder", {}).get("mozjpeg_version")
    real = sum(face.label == 0 for face in training)
    methods = sorted({face.method for face in training if face.label})
    people = {person for face in training for person in face.identity.split("+")}
    auc = "-" if card["val_auc"] is None else f"{card['val_auc']:.3f}"
    rows = [
        ("parameters", f"{parameters:,}"),
        ("input", f"one aligned face, RGB, {card['height']} x {card['width']}"),
        ("weights", f"moving average (EMA) after step {card['step']}, selected: {card['selected']}"),
        ("validation AUC", f"{auc}, of frames, {num_validation} crops of people who are not in the training"),
        ("training crops", f"{len(training)}, {real} real, of {len({f.video for f in training})} videos, "
                           f"{len(people)} people"),
        ("forgeries", ", ".join(methods)),
    ]  # fmt: skip
    if compress:
        by = f", mozjpeg {encoder}" if encoder else ""
        rows.append(("JPEG of the crops", ", ".join([f"quality {compress['quality']}", *options]) + by))
    rows += [
        ("started from", _start(card)),
        ("data", f"index.csv with SHA-256 {card['index_sha256']}"),
        ("run", f"{card['run']}, detector {card['detector']}, torch {card['torch']}, {card['device']}, {card['amp']}"),
    ]
    return rows


def _start(card: Mapping[str, Any]) -> str:
    if card["pretrained_sha256"]:
        return f"weights with SHA-256 {card['pretrained_sha256']}"
    published = card["options"].get("pretrained")
    return f"published weights of timm ({published})" if published else "random weights"


def _yaml(values: Mapping[str, Any], indent: int = 0) -> list[str]:
    """Return *values* as lines of YAML: sections, numbers, words, lists of them."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{'  ' * indent}{key}:", *_yaml(value, indent + 1)]
        else:
            lines.append(f"{'  ' * indent}{key}: {_scalar(value)}")
    return lines


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(_scalar, value))}]" if isinstance(value, list | tuple) else str(value)
