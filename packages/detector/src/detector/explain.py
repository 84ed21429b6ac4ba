"""The explain stage: heat maps, drawn for a few faces and measured over many, and feature vectors.

Heat maps are Grad-CAM (Selvaraju et al. 2017) of every model and the attention maps of the multi-attentional one. Where
the mask of the forgery is known, a map is measured by the share of its heat inside the mask. The baseline is the share
that the average of all maps has inside the same mask: faces and masks lie in the middle, so a map that ignores the
individual image scores high as well.

A task (`detector.data.work`) is a batch of crops under one condition. Batches are the same for any executor.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from evaluation.values import shown

from .arithmetic import pin, set_threads
from .conditions import Condition, parse_all
from .config import Params
from .data.index import Face
from .errors import DetectorError
from .options import SHARDS, Command, Input, Output, executor_option, later, model_workers_option, params_option

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from evaluation.clusters import Clusters

    from .data.shards import ShardReader
    from .data.work import Executor, Task
    from .placed import Placed
    from .remote import Later

__all__ = [
    "Explained",
    "Localization",
    "Map",
    "cam_layer",
    "command",
    "explain",
    "grad_cam",
    "heat_inside",
    "localize",
    "overlay",
    "sample",
    "shares_inside",
]

BATCH = 32  # images per forward and backward pass
FEATURES = "features.npy"


@dataclass(frozen=True, slots=True)
class Map:
    """An image of ``maps/``: its face, condition and kind, and the score of the face under that condition.

    kind: ``face`` (the crop itself), ``mask`` (of the forgery), ``grad_cam``, ``attention_1`` and so on. peak: the
    largest value of the map, which is drawn as the brightest colour; 0 where there is no map.
    """

    file: str
    key: str
    condition: str
    kind: str
    score: float
    peak: float


@dataclass(frozen=True, slots=True)
class Localization:
    """Shares of heat inside the forgery masks: means over n fakes of one condition, kind of map and method.

    inside: the share of a map's heat in its mask (of the average map's heat for a map without any). average: the same
    for the average map of all faces. gain: inside minus average, face by face. covered: the share of the image that
    the mask covers. method ``all`` is over all fakes. The ends of the 95 % intervals (``_lo``, ``_hi``) are nan where
    they are undefined, for the `reason`; `unit` is what they treat as independent, and the average map is taken as
    given.
    """

    condition: str
    kind: str
    method: str
    n: int
    inside: float
    inside_lo: float
    inside_hi: float
    average: float
    average_lo: float
    average_hi: float
    gain: float
    gain_lo: float
    gain_hi: float
    covered: float
    covered_lo: float
    covered_hi: float
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A model's output for a batch: scores (N,), maps by kind, (N, h, w) each and at least 0, and features (N, d)."""

    scores: NDArray[np.float64]
    maps: dict[str, NDArray[np.float32]]
    features: NDArray[np.float32]


@click.command(cls=Command)
@click.argument("faces", type=Input(exists=True, file_okay=False, stay=SHARDS))
@click.argument("train", type=Input(exists=True, file_okay=False))
@click.argument("out", type=Output(replaced=True, file_okay=False))
@click.option("--layer", help="Module whose output Grad-CAM weights.  [default: the last feature maps]")
@click.option("--faces-measured", type=click.IntRange(1), default=200, show_default=True, help="Fakes measured.")
@click.option("--features", type=click.IntRange(2), default=500, show_default=True, help="Faces in features.csv.")
@model_workers_option
@executor_option
@params_option
def command(
    faces: Path,
    train: Path,
    out: Path,
    layer: str | None,
    faces_measured: int,
    features: int,
    workers: int,
    executor: str,
    params: Params,
) -> None:
    """Draw and measure heat maps of the model in TRAIN on the test crops of FACES; write images and tables to OUT.

    maps.csv and maps/ hold images of a few faces under each of the parameter conditions, localization.csv the
    shares of heat inside the forgery masks, features.npy with features.csv the inputs of the last layer. An interrupted
    run resumes.
    """
    from .data.work import Executor

    pin(params.train)
    where = Executor.of_model(executor, workers)
    for row in explain(faces, train, out, params, layer, faces_measured, features, where, later()):
        if row.method == "all":
            click.echo(f"{row.condition:>4} {row.kind:<12} {sentence(row)}")


def sentence(row: Localization) -> str:
    """Return the shares of *row* with their intervals, or with the reason why they have none."""
    from evaluation.printed import number_with

    inside = number_with(row.inside, row.inside_lo, row.inside_hi, reason=row.reason)
    average = number_with(row.average, row.average_lo, row.average_hi, reason=row.reason)
    gain = number_with(row.gain, row.gain_lo, row.gain_hi, reason=row.reason, sign="+")
    named = {"pair": "pairs", "person": "people", "video": "videos", "row": "faces"}[row.unit]
    return (
        f"{inside} of the heat in the mask, {average} for the average map, gain {gain} (n = {row.n}; 95 % intervals "
        f"by {named})"
    )


def explain(
    faces: Path,
    train: Path,
    out: Path,
    params: Params,
    layer: str | None,
    num_measured: int,
    num_features: int,
    where: Executor | None = None,
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> list[Localization]:
    """Write the output folder *out* and return the rows of its localization.csv.

    Uses the faces of the test split, or all faces if it is empty. The archives *later* are read at their address
    (`detector.remote.placed`). DataError if *faces* or *train* is incomplete or
    the crops are compressed, DetectorError if the model has no *layer*.
    """
    from .data.crops import checked
    from .data.files import whole_folder
    from .data.index import read_index, read_masks, write_rows
    from .data.intact import write_damaged
    from .data.shards import ShardReader
    from .data.summary import read_lossless
    from .data.work import SERIAL, working_folder
    from .fidelity import examples
    from .models import MODELS
    from .placed import Placed

    read_lossless(faces)
    set_threads(params.train)
    placed = Placed.here(train)
    reader, most, where = ShardReader(faces, later), params.max_damaged, where or SERIAL
    layer = layer or MODELS[placed.card.model].feature_maps
    cam_layer(placed.load()[0], layer)
    conditions = parse_all(params.conditions)
    with working_folder(out) as work, whole_folder(out, "maps.csv", sums=True) as folder:
        index, damaged = checked(read_index(faces), reader, most, work, where)
        test = [face for face in index if face.split == "test"] or index
        masks = read_masks(faces) if (faces / "masks.csv").is_file() else {}
        used = [masks[face.key] for face in index if face.key in masks]
        sound, others = checked(used, reader, most, work, where, what="masks")
        masks, damaged = {slot.key: slot for slot in sound}, [*damaged, *others]
        drawn, forged = examples(index), sample([face for face in test if face.key in masks], num_measured)
        described, two = sample(test, num_features), _feature_conditions(conditions)
        explainer = CropExplainer(placed, layer, reader, work, where)
        explainer.compute([(drawn, conditions), (forged, conditions), (described, two)])
        write_rows(folder / "maps.csv", Map, _draw_maps(folder, explainer, drawn, conditions, masks))
        localization = localize(explainer, forged, conditions, masks)
        write_rows(folder / "localization.csv", Localization, localization)
        _write_features(folder, explainer, described, two)
        write_damaged(folder, damaged)
    return localization


class Explainer:
    """Computes scores, maps and features of a model in evaluation mode in one pass.

    *layer* is the dotted name of the module whose output (N, C, h, w) Grad-CAM weights.
    """

    def __init__(self, model: nn.Module, layer: str, device: torch.device) -> None:
        import inspect

        self.model, self.device = model.eval(), device
        self.layer = cam_layer(model, layer)
        self.last = _last_linear(model)
        self.has_extras = "return_extras" in inspect.signature(model.forward).parameters

    def __call__(self, images: NDArray[np.uint8]) -> Explained:
        """Return scores, maps and features of *images*, uint8 (N, H, W, 3)."""
        import torch

        from .inference import check_finite, sigmoid
        from .loading.augment import to_float

        seen: dict[str, Tensor] = {}
        hooks = [
            self.layer.register_forward_hook(lambda _module, _inputs, output: seen.update(maps=output)),
            self.last.register_forward_pre_hook(lambda _module, inputs: seen.update(features=inputs[0])),
        ]
        try:
            # the gradient must reach the maps even if all layers before them are frozen
            x = to_float(torch.from_numpy(images).to(self.device)).requires_grad_()
            logits, extras = self.model(x, return_extras=True) if self.has_extras else (self.model(x), {})
            maps = {"grad_cam": grad_cam(seen["maps"], logits)}
        finally:
            for hook in hooks:
                hook.remove()
        attention = extras.get("attention_maps")
        if attention is not None:
            maps |= {f"attention_{m + 1}": attention[:, m] for m in range(attention.shape[1])}
        found = logits.detach().double().cpu().numpy()
        check_finite(found, lambda i: f"image {i + 1} of the batch")
        return Explained(
            sigmoid(found),
            {kind: values.detach().float().cpu().numpy() for kind, values in maps.items()},
            seen["features"].detach().float().cpu().numpy(),
        )


def grad_cam(maps: Tensor, logits: Tensor) -> Tensor:
    """Return Grad-CAM (N, h, w) of the logits of P(fake): the ReLU of the sum of the feature *maps* (N, C, h, w), each
    weighted by the mean of the logit's gradient over its pixels (Selvaraju et al. 2017, equations 1 and 2)."""
    import torch

    (gradient,) = torch.autograd.grad(logits.sum(), maps)
    return torch.relu((gradient.mean((2, 3), keepdim=True) * maps).sum(1))


def cam_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the module *name* of *model*; DetectorError lists the top-level modules if it does not exist."""
    try:
        return model.get_submodule(name)
    except AttributeError:
        children = ", ".join(child for child, _ in model.named_children())
        raise DetectorError(f"the model has no module {shown(name)}; its top-level modules are {children}") from None


def _last_linear(model: nn.Module) -> nn.Module:
    from torch import nn

    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


class CropExplainer:
    """Applies an `Explainer` to the crops of a folder under conditions, in tasks; `compute` runs them."""

    def __init__(self, placed: Placed, layer: str, reader: Any, work: Path, where: Executor) -> None:
        from .conditions import encoders
        from .data.work import key_of
        from .pipeline import stage

        self.placed, self.layer, self.reader, self.work, self.where = placed, layer, reader, work, where
        code = stage("explain").code_sha256()
        self.depends = key_of("explain_crops", code, placed.depends(), {"layer": layer}, dict(encoders()))
        self.size = placed.card.height, placed.card.width
        self.files: dict[str, Path] = {}

    def compute(self, requests: Sequence[tuple[Sequence[Face], Sequence[Condition]]]) -> None:
        """Explain faces under conditions, all of them, so that `explain` finds the results."""
        from .data.work import run

        wanted = [(faces, condition) for faces, conditions in requests for condition in conditions]
        tasks = [task for request in wanted for _, task in self.tasks(*request)]
        found = run(tasks, self.work, "explain", self.where)
        self.files = {task.key: file for task, file in zip(tasks, found, strict=True)}

    def tasks(self, faces: Sequence[Face], condition: Condition) -> Iterator[tuple[Sequence[Face], Task]]:
        """Yield the batches of *faces*, each with its task."""
        from .data.crops import crops_task
        from .data.work import key_of

        depends, label = key_of(self.depends, str(condition)), str(condition)
        for start in range(0, len(faces), BATCH):
            some = faces[start : start + BATCH]
            task = crops_task(depends, explain_crops, self.reader, some, (self.placed, self.layer, label))
            yield some, replace(task, name=f"{some[0].key} under {label}")

    def explain(self, faces: Sequence[Face], condition: Condition) -> Iterator[tuple[Face, Explained]]:
        """Yield each of *faces* with its `Explained` (N = 1) under *condition*."""
        from .data.work import read

        for some, task in self.tasks(faces, condition):
            found = unpack_explained(read(self.files[task.key]))
            for i, face in enumerate(some):
                one = slice(i, i + 1)
                maps = {kind: values[one] for kind, values in found.maps.items()}
                yield face, Explained(found.scores[one], maps, found.features[one])

    def image(self, face: Face, condition: Condition) -> NDArray[np.uint8]:
        """Return the crop *face* under *condition*, uint8 (H, W, 3)."""
        from .data.compress import read_crop

        return condition.apply(read_crop(self.reader, face))


def explain_crops(argument: tuple[ShardReader, Sequence[Face], Placed, str, str]) -> bytes:
    """Return the `Explained` of crops, one batch under one condition, as bytes."""
    from .loading.conditioned import conditioned

    reader, faces, placed, layer, label = argument
    model, card, device = placed.load()
    (batch,) = conditioned(faces, reader, (card.height, card.width), parse_all([label]), len(faces))
    return pack_explained(Explainer(model, layer, device)(batch[:, 0]))


def pack_explained(found: Explained) -> bytes:
    """Return *found* as bytes; `unpack_explained` returns it, in the same order of maps."""
    file = io.BytesIO()
    maps = {f"map {kind}": values for kind, values in found.maps.items()}
    np.savez(file, scores=found.scores, features=found.features, **maps)  # type: ignore[arg-type]
    return file.getvalue()


def unpack_explained(data: bytes) -> Explained:
    """Return what `pack_explained` made *data* of."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        maps = {name.removeprefix("map "): arrays[name] for name in arrays.files if name.startswith("map ")}
        return Explained(arrays["scores"], maps, arrays["features"])


def sample(faces: Sequence[Face], number: int) -> list[Face]:
    """Return at most *number* of *faces*, sorted by key: half of them real, the others shared evenly by the methods.

    Within a method they are evenly spaced.
    """
    groups: dict[str, list[Face]] = {}
    for face in sorted(faces, key=lambda face: face.key):
        groups.setdefault(face.method, []).append(face)
    real = groups.pop("original", [])
    for_real = number // 2 if groups else number
    chosen = _spread(real, for_real)
    rest = number - len(chosen)
    for left, method in zip(range(len(groups), 0, -1), sorted(groups, key=lambda m: len(groups[m])), strict=True):
        picked = _spread(groups[method], rest // left)
        chosen += picked
        rest -= len(picked)
    return sorted(chosen, key=lambda face: face.key)


def _spread(faces: Sequence[Face], number: int) -> list[Face]:
    """Return *number* of *faces*, evenly spaced, or all if there are fewer."""
    if number >= len(faces):
        return list(faces)
    return [faces[int((i + 0.5) * len(faces) / number)] for i in range(number)]


def localize(
    explainer: CropExplainer, faces: Sequence[Face], conditions: Sequence[Condition], masks: dict[str, Any]
) -> list[Localization]:
    """Return the shares of heat inside the *masks* of *faces*, for every condition, kind of map and method."""
    from evaluation.clusters import cluster_rows

    if not faces:
        return []
    columns = (np.array([getattr(face, name) for face in faces], np.str_) for name in ("video", "pair", "identity"))
    clusters = cluster_rows(*columns)
    inside = [_read_mask(explainer.reader, masks[face.key]) for face in faces]
    heat: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    for condition in conditions:
        for _, explained in explainer.explain(faces, condition):
            for kind, values in explained.maps.items():
                heat.setdefault((str(condition), kind), []).append(resize(values[0], explainer.size))
    rows = []
    for (label, kind), maps in heat.items():
        shares = np.array(shares_inside(maps, inside))
        for method in ("all", *dict.fromkeys(face.method for face in faces)):
            own = np.flatnonzero([method in ("all", face.method) for face in faces])
            rows.append(_means(label, kind, method, shares[own], clusters[own]))
    return rows


def _means(label: str, kind: str, method: str, shares: NDArray[np.float64], clusters: Clusters) -> Localization:
    """Return the means of *shares* (N, 3): inside, of the average map, covered; with their intervals."""
    from evaluation.means import mean

    inside, average, covered = shares.T
    found = [mean(values, clusters) for values in (inside, average, inside - average, covered)]
    numbers = {
        f"{name}{end}": round(float(number), 6)
        for name, of in zip(("inside", "average", "gain", "covered"), found, strict=True)
        for end, number in zip(("", "_lo", "_hi"), of[:3], strict=True)
    }
    reason = next((of.reason for of in found if np.isnan(of.lo)), "")
    return Localization(label, kind, method, len(shares), **numbers, unit=clusters.unit, reason=reason)


def shares_inside(
    maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]
) -> list[tuple[float, float, float]]:
    """Return for each of *maps* (H, W) its share of heat inside its mask, that of the average map, and the mask's area.

    A map without heat takes the share of the average map; where no map has heat, the average is uniform.
    """
    normalized = [heat / heat.sum(dtype=np.float64) for heat in maps if heat.any()]
    average = np.mean(normalized, axis=0) if normalized else np.ones(masks[0].shape)
    shares = []
    for heat, mask in zip(maps, masks, strict=True):
        of_average = heat_inside(average, mask)
        of_map = heat_inside(heat, mask) if heat.any() else of_average
        shares.append((of_map, of_average, float(mask.mean())))
    return shares


def heat_inside(heat: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """Return the share of *heat* (H, W), non-negative and not all 0, that lies inside *mask* (H, W)."""
    return float(heat[mask].sum(dtype=np.float64) / heat.sum(dtype=np.float64))


def resize(heat: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return *heat* (h, w) resized to *size* = (H, W) by bilinear interpolation."""
    import cv2

    return np.asarray(cv2.resize(heat, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return *image*, uint8 (H, W, 3), in gray with *heat* (h, w) as an inferno overlay, scaled to its maximum.

    Pixels without heat are plain gray.
    """
    import cv2

    peak = float(heat.max())
    level = resize(heat, image.shape[:2]) / peak if peak > 0 else np.zeros(image.shape[:2], np.float32)
    level = np.clip(level, 0, 1)[..., None]
    colours = cv2.applyColorMap(np.round(255 * level[..., 0]).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    mixed = gray * (1 - 0.7 * level) + colours * (0.7 * level)
    return np.round(mixed).astype(np.uint8)


def _draw_maps(
    folder: Path,
    explainer: CropExplainer,
    faces: Sequence[Face],
    conditions: Sequence[Condition],
    masks: dict[str, Any],
) -> list[Map]:
    """Write the images of *faces* under *conditions* into ``maps`` of *folder*; return their rows.

    A face's mask is drawn once, with the first condition.
    """
    from evaluation.conditions import condition_key

    from .data.png import encode_png

    (folder / "maps").mkdir()
    rows: list[Map] = []

    def write(face: Face, label: str, kind: str, score: float, peak: float, image: NDArray[np.uint8]) -> None:
        file = f"maps/{face.key.replace('/', '-')}-{condition_key(label)}-{kind}.png"
        (folder / file).write_bytes(encode_png(image))
        rows.append(Map(file, face.key, label, kind, round(score, 6), round(peak, 6)))

    for number, condition in enumerate(conditions):
        label = str(condition)
        for face, explained in explainer.explain(faces, condition):
            image, score = explainer.image(face, condition), float(explained.scores[0])
            write(face, label, "face", score, 0.0, image)
            for kind, values in explained.maps.items():
                write(face, label, kind, score, float(values.max()), overlay(image, values[0]))
            if number == 0 and face.key in masks:
                mask = _read_mask(explainer.reader, masks[face.key])
                write(face, label, "mask", score, 0.0, np.where(mask, 255, 0).astype(np.uint8))
    order = [str(condition) for condition in conditions]
    return sorted(rows, key=lambda row: (row.key, order.index(row.condition), row.kind))


def _read_mask(reader: Any, slot: Any) -> NDArray[np.bool_]:
    """Return the forgery mask in *slot*, (H, W), true where the image was forged."""
    from .data.png import decode_png

    return decode_png(reader.read(slot, check=True)) > 127


def _feature_conditions(conditions: Sequence[Condition]) -> list[Condition]:
    """Return the two conditions whose features are compared, the first and the last, or the only one."""
    return list(dict.fromkeys([conditions[0], conditions[-1]]))


def _write_features(
    folder: Path, explainer: CropExplainer, faces: Sequence[Face], conditions: Sequence[Condition]
) -> None:
    """Write the features of *faces* under *conditions*, float32 (n, d), and the table that describes each row."""
    vectors = []
    with (folder / "features.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = ("key", "video", "method", "identity", "pair", "split", "label")
        writer.writerow((*columns, "condition", "score"))
        for condition in conditions:
            for face, explained in explainer.explain(faces, condition):
                vectors.append(explained.features)
                score = repr(float(explained.scores[0]))
                writer.writerow((*(getattr(face, name) for name in columns), condition, score))
    np.save(folder / FEATURES, np.concatenate(vectors))
