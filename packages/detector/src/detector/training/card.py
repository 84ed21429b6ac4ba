"""The model card: a description of the weights, their training data and their limits, in Markdown.

It has no dates, machine names or rates, so repeated runs give the same text. Programs read model.json instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..card import Card, Threshold
from ..data.index import Face

__all__ = ["model_card"]

TEXT = """# {model}, trained on {dataset}

{warning}{table}

## Use

Detect whether the face in an image was forged by one of the methods above, before and after compression.
`detector predict IMAGE --train FOLDER` crops the face and scores it; `detector export` writes one file that needs none
of this code. In Python: `detector.weights.load_model(FOLDER, device)`. The model takes RGB in [0, 1],
(N, 3, {height}, {width}), and returns logits; their sigmoid is P(fake).

## Thresholds

{thresholds}

## Likelihood ratios

{calibration}

## Limits

- Trained on faces framed, sized and aligned by `detector faces`; scores of other crops are not reliable.
- Forgeries by other methods than those above, and entirely synthetic faces, were not in the training data.
- The score is not a calibrated probability; `detector predict` gives one, at a stated prior, by the calibration above.
- For its metrics under each condition, with intervals, see the evaluation of the run (`out/report`).
{note}
## Parameters

```yaml
{parameters}
```
"""

SYNTHETIC = "**The training data are synthetic.** Scores of real photographs and videos are meaningless.\n\n"


def model_card(card: Card, parameters: int, training: Sequence[Face], num_validation: int) -> str:
    """Return the model card of the weights that *card* describes.

    *parameters* is the number of parameters of the model, *training* the faces it was trained on, *num_validation* the
    number of validation crops.
    """
    data = card.data
    # the checkpoint settings do not affect the weights
    recipe = {name: value for name, value in card.parameters["train"].items() if name != "checkpoint"}
    return TEXT.format(
        model=card.model,
        dataset=data.name if data and data.name else "packed crops",
        warning=SYNTHETIC if data and data.synthetic else "",
        height=card.height,
        width=card.width,
        table=_table(["", ""], _rows(card, parameters, training, num_validation)),
        thresholds=_thresholds(card),
        calibration=_calibration(card),
        note=f"- {data.note}\n" if data and data.note else "",
        parameters="\n".join(_yaml({**card.parameters, "train": recipe})),
    )


def _rows(card: Card, parameters: int, training: Sequence[Face], num_validation: int) -> list[Sequence[str]]:
    real = sum(face.label == 0 for face in training)
    methods = sorted({face.method for face in training if face.label})
    people = {person for face in training for person in face.identity.split("+")}
    auc = "-" if card.val_auc is None else f"{card.val_auc:.3f}"
    rows = [
        ("parameters", f"{parameters:,}"),
        ("input", f"one aligned face, RGB, {card.height} x {card.width}"),
        ("weights", f"moving average (EMA) after step {card.step}, selected: {card.selected}"),
        ("validation AUC", f"{auc}, of frames, {num_validation} crops of people who are not in the training"),
        ("training crops", f"{len(training)}, {real} real, of {len({f.video for f in training})} videos, "
                           f"{len(people)} people"),
        ("forgeries", ", ".join(methods)),
    ]  # fmt: skip
    if card.compress:
        version = (card.compress.encoder or {}).get("mozjpeg_version")
        rows.append(("JPEG of the crops", f"{card.trained_on}" + (f", mozjpeg {version}" if version else "")))
    rows.append(("random histories", _histories(card)))
    rows += [
        ("started from", _start(card)),
        ("data", f"index.csv with SHA-256 {card.inputs['crops/index.csv']}"),
        ("run", f"{card.run}, on {card.device}, precision {card.amp}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())),
        ("source", _source(card)),
    ]
    return list(rows)


def _histories(card: Card) -> str:
    histories = card.parameters["train"]["histories"]
    if not histories or not histories["share"]:
        return "none: every crop had the JPEG quality above"
    return (
        f"{100 * histories['share']:g} % of the crops, made at every step from their lossless versions: "
        f"{', '.join(histories['conditions'])}; the others as above"
    )


def _start(card: Card) -> str:
    start = card.started_from
    if start is None:
        return "random weights"
    return f"{start.name}, SHA-256 {start.sha256}, licence: {start.licence or 'not known'}"


def _source(card: Card) -> str:
    source = card.source
    if source is None or source.commit is None:
        return f"commit not known: {source.reason if source else 'not recorded'}"
    return f"commit {source.commit}" + (", with files that differ from it" if source.modified else "")


def _thresholds(card: Card) -> str:
    if not card.thresholds:
        return "None: no lossless validation crops were given (`detector train --faces`)."
    rows = [
        (condition, _number(found.frame), _counts(found.frame), _number(found.video), _counts(found.video))
        for condition, found in card.thresholds.items()
    ]
    header = ["condition", "frame", "crops (real + fake)", "video", "videos (real + fake)"]
    caption = "Scores from this threshold on are classified as fake (Youden's index on the validation split, by level):"
    return f"{caption}\n\n{_table(header, rows)}"


def _calibration(card: Card) -> str:
    if not card.calibration:
        return "None: no lossless validation crops were given."
    rows: list[tuple[str, ...]] = []
    for condition, levels in card.calibration.items():
        for level, found in (("frame", levels.frame), ("video", levels.video)):
            if found is None:
                rows.append((condition, level, "-", "-", "-", "-", "-", "-"))
            else:
                error = ("-" if v is None else f"{v:.3f}" for v in (found.cllr, found.cllr_min, found.ece))
                rates = ("-" if v is None else f"{v:.1%}" for v in (found.false_alarms, found.misses))
                rows.append((condition, level, f"{found.low:.2g} to {found.high:.2g}", *error, *rates))
    header = ["condition", "level", "LR supported", "Cllr", "Cllr-min", "ECE", "false alarms", "misses"]
    one = next((c for levels in card.calibration.values() for c in (levels.frame, levels.video) if c), None)
    counts = f" Counted as independent: {one.real_units} reals, {one.fake_units} fakes." if one else ""
    ranges = card.ranges.appearance if card.ranges else None
    limit = "" if ranges is None else (
        f" Of the real validation crops {ranges.flagged:.1%} are outside the range of appearance when the crops of "
        "their own pair are left out."
    )
    caption = (
        "Fitted on the validation split. The LR supported is the empirical lower and upper bound for the number of "
        f"people in it.{counts} The other figures are cross-fitted.{limit}"
    )
    return f"{caption}\n\n{_table(header, rows)}"


def _number(found: Threshold) -> str:
    return "-" if found.threshold is None else f"{found.threshold:.4f}"


def _counts(found: Threshold) -> str:
    return f"{found.real} + {found.fake}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
