"""Settings: frozen dataclasses that mirror the sections of params.yaml.

`read_params` reads the file as YAML 1.2 (in YAML 1.1 ``4:2:0`` is the number 14520 and ``on`` is true), names unknown
keys with the closest known one, and checks types and ranges (`detector.schema`). Numbers may arrive as text, as after
``dvc exp run -S``. The defaults here are the values of params.yaml; a test keeps the two equal.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from .conditions import SUBSAMPLINGS, TUNES, canonical
from .errors import ConfigError, DataError
from .histories import canonical as canonical_history
from .schema import Mismatch, Rules, converted, number, one_of, parse, parse_yaml, read_text

T = TypeVar("T")

# raw, and four qualities of mozjpeg and of libjpeg-turbo
TESTED = ("raw", "77", "60", "15", "10", "turbo:77", "turbo:60", "turbo:15", "turbo:10")

# 10 % raw; otherwise mozjpeg or libjpeg-turbo, and 4:2:0, 4:2:2 or 4:4:4 as 2:1:1
HISTORIES = (
    "raw x8",
    *(
        f"{encoder}:5..95/{subsampling} x{weight}"
        for encoder in ("moz", "turbo")
        for subsampling, weight in (("4:2:0", 18), ("4:2:2", 9), ("4:4:4", 9))
    ),
)

# upper bounds: what no machine needs, and what would otherwise end a run without a message
MOST_BATCH = 16_384
MOST_PARTS = 1024
MOST_FRAMES = 1_000_000  # of a video
MOST_STEPS = 1_000_000_000
MOST_THREADS = 512

MAX_DAMAGED = 0.01  # share of the crops, where no parameter sets it

# keys of earlier versions -> their replacement
RENAMED = {
    "qualities": "is now called conditions and lists raw too, as in conditions: [raw, 77, 10, turbo:90]",
    "train.augment.jpeg": "is now called train.augment.recompress",
    "train.augment.jpeg_qualities": "is now called train.augment.conditions",
}


@dataclass(frozen=True, slots=True)
class FacesConfig:
    """Videos to crops. `frames_per_second` replaces the two frame counts; `yunet_model` and `centerface_model` are
    ONNX files, empty for the usual places.

    `framing` is described in `detector.data.framing`. Crops of which more than `max_border` lies beyond the image are
    dropped.
    """

    compression: str = "c23"
    methods: tuple[str, ...] = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    size: int = number(128, 16, 4096)
    frames_real: int = number(16, 1, MOST_FRAMES)
    frames_fake: int = number(8, 1, MOST_FRAMES)
    frames_per_second: float | None = number(None, None, 1000, above=0)
    detector: str = one_of("haar", "auto", "haar", "yunet", "centerface", "lbp")
    yunet_model: str | None = None
    centerface_model: str | None = None
    framing: str = one_of("deepfakebench", "deepfakebench", "mesonet", "tight")
    max_border: float = number(0.05, 0, 1)
    people: str = one_of("largest", "largest", "all")


@dataclass(frozen=True, slots=True)
class CompressConfig:
    """JPEG encoder settings of the training crops, besides the quality; None is mozjpeg's default."""

    subsampling: str | None = one_of(None, *SUBSAMPLINGS)
    tune: str | None = one_of(None, *TUNES)

    def options(self) -> dict[str, Any]:
        """Return the settings that are not None as keywords of `mozcodec.encode`."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Training augmentation, described in `detector.loading.augment` and `detector.loading.recompress`."""

    flip: float = number(0.5, 0, 1)
    rotate: float = number(0.0, 0, 180)
    scale: float = number(0.0, 0, 0.9)
    blur: float = number(0.0, 0, 1)
    contrast: float = number(0.15, 0, 1)
    brightness: float = number(0.12, 0, 1)
    color: float = number(0.06, 0, 1)
    recompress: float = number(0.0, 0, 1)
    conditions: tuple[str, ...] = converted(("77", "60", "15", "10"), canonical)


@dataclass(frozen=True, slots=True)
class HistoriesConfig:
    """Random histories of training crops.

    At every step, with probability `share`, a crop is made from its lossless version under one of the random
    `conditions` (`detector.histories`); otherwise it is the crop at the training quality.
    """

    share: float = number(0.9, 0, 1)
    conditions: tuple[str, ...] = converted(HISTORIES, canonical_history)


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The audit. An AUC whose interval lies above `notable_above` is a finding.

    With `fail_above`, leaks and intervals above it stop the pipeline before training. Crops whose hashes differ in at
    most `near_duplicate_bits` of 255 bits are near-duplicates.
    """

    notable_above: float = number(0.6, 0.5, 1)
    fail_above: float | None = number(None, 0.5, 1)
    near_duplicate_bits: int = number(24, 0, 127)


@dataclass(frozen=True, slots=True)
class MesoConfig:
    """``meso4`` and ``mesoinception4``.

    `bn_momentum` is the weight of the new batch (.99 in Keras is .01 here). `pretrained` is the folder of a trained
    model to start from, written by ``detector train`` or ``detector convert-keras``; it also sets the input scaling.
    """

    conv_activation: str = one_of("relu", "relu", "leaky_relu")
    bn_momentum: float = number(0.1, None, 1, above=0)
    pretrained: str | None = None


@dataclass(frozen=True, slots=True)
class EfficientNetConfig:
    """Every ``efficientnet_*``, and the backbone of ``multi_attention``.

    `pretrained` is false, true (timm's default weights), the name or tag of published weights, package (those in the
    Python package of `detector.models.packages`), or a file, such as weights.safetensors of another run.
    """

    pretrained: bool | str = False
    drop_path: float = number(0.2, 0, 1)


@dataclass(frozen=True, slots=True)
class MultiAttentionConfig:
    """``multi_attention``; see `detector.models.multi_attention.MultiAttention`."""

    backbone: str = "efficientnet_b4"
    num_attentions: int = number(4, 1, 256)
    texture: str = one_of("v1", "v1", "v2")
    texture_layer: str | None = None
    attention_layer: str | None = None
    region_dropout: float = number(0.25, 0, 1)
    independence_weight: float = number(0.5, 0, 1e6)
    agda_weight: float = number(1.0, 0, 1e6)
    match_weight: float = number(0.1, 0, 1e6)
    agda_from: int = number(0, 0)
    epoch_steps: int = number(1000, 1)


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """Checkpoints are saved every `every_steps` and every `every_seconds`; the newest `keep` are kept."""

    every_steps: int = number(500, 1)
    every_seconds: float = number(60, above=0)
    keep: int = number(2, 1, 10_000)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The training recipe. `dropout` None is the published value of the model.

    A batch is divided into `parts`, each with its own batch statistics, whose gradients are averaged in their order:
    weights depend on the number of parts, and not on the number of processes that compute them.
    `reproducible` pins the CPU arithmetic of training and scoring (`detector.arithmetic`). `histories` None (``none``
    in params.yaml) is the paper's protocol: every crop at the training quality.
    After training, the validation crops are scored under `conditions`, to choose a threshold for each.
    """

    steps: int = number(1000, 1, MOST_STEPS)
    batch_size: int = number(32, 1, MOST_BATCH)
    parts: int = number(1, 1, MOST_PARTS)
    micro_batch: int | Literal["auto"] = number("auto", 1, MOST_BATCH)
    paired: bool = True
    lr: float = number(2e-3, above=0)
    weight_decay: float = number(5e-4, 0)
    warmup_ratio: float = number(0.25, 0, 1)
    max_norm: float = number(2.0, above=0)
    dropout: float | None = number(0.1, 0, 1)
    label_smoothing: float = number(0.02, 0, 1)
    ema_decay: float = number(0.98, 0, 1)
    select: str = one_of("last", "last", "best_val")
    eval_every: int = number(250, 1)
    patience: int | None = number(None, 1)
    amp: str = one_of("auto", "auto", "off", "bf16", "fp16")
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True
    reproducible: bool = True
    threads: int | Literal["auto"] = number("auto", 1, MOST_THREADS)
    log_every: int = number(50, 1)
    conditions: tuple[str, ...] = converted(TESTED, canonical)
    histories: HistoriesConfig | None = field(default_factory=HistoriesConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    meso: MesoConfig = field(default_factory=MesoConfig)
    efficientnet: EfficientNetConfig = field(default_factory=EfficientNetConfig)
    multi_attention: MultiAttentionConfig = field(default_factory=MultiAttentionConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Scoring."""

    batch_size: int = number(128, 1, MOST_BATCH)


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Settings of the intervals and margins of the answer; dvc.yaml passes them to `evaluation`."""

    replicates: int = number(1000, 1, 1_000_000)
    confidence: float = number(0.95, 0.5, 0.9999)
    useful_balanced_accuracy: float = number(0.75, 0.5001, 0.9999)
    equivalent_auc_drop: float = number(0.05, 0.0001, 0.4999)


@dataclass(frozen=True, slots=True)
class Params:
    """All of params.yaml. `quality` is that of the training crops, `conditions` are what models are tested under.

    max_damaged: share of the crops that may be damaged; up to it they are left out and listed.
    """

    seed: int = number(1, 0)
    model: str = "meso4"
    quality: int = number(77, 1, 100)
    conditions: tuple[str, ...] = converted(TESTED, canonical)
    max_damaged: float = number(MAX_DAMAGED, 0, 0.5)
    faces: FacesConfig = field(default_factory=FacesConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    compress: CompressConfig = field(default_factory=CompressConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)


def read_params(path: str | Path | None = "params.yaml") -> Params:
    """Return the checked parameters in the YAML file *path*, or the defaults for None.

    A section or key that is missing keeps its default. Raises `ConfigError` for a file that is not a YAML mapping, an
    unknown key, or a value of the wrong type or out of range.
    """
    if path is None:
        return Params()
    try:
        return from_mapping(Params, parse_yaml(read_text(path), path))
    except DataError as error:
        raise ConfigError(str(error)) from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def from_mapping(kind: type[T], values: Any, prefix: str = "") -> T:
    """Return the dataclass *kind* filled from *values*; *prefix* ("train.") goes before key names in messages.

    ConfigError names the key whose value is wrong, and what is allowed.
    """
    try:
        return parse(values, kind, prefix.rstrip("."), RULES)
    except Mismatch as error:
        raise ConfigError(str(error)) from None


def _unknown(prefix: str, key: str, kind: type) -> str:
    """Return the message for the unknown *key* of *kind*, with its new name or the closest known parameter."""
    if prefix + key in RENAMED:
        return f"{prefix}{key} {RENAMED[prefix + key]}"
    here = [prefix + f.name for f in dataclasses.fields(kind)]
    close = difflib.get_close_matches(prefix + key, here, 1, 0.6)
    elsewhere = [name for name in _names(Params) if name.rpartition(".")[2] == key]
    hint = (close or elsewhere)[:1]
    known = f"did you mean {hint[0]}?" if hint else f"known here: {', '.join(here)}"
    return f"{prefix}{key} is not a parameter; {known}"


def _names(kind: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all parameters of *kind*."""
    names = []
    for name, hint in typing.get_type_hints(kind).items():
        sections = [h for h in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(h)]
        names += _names(sections[0], f"{prefix}{name}.") if sections else [prefix + name]
    return names


RULES = Rules(lenient=True, closed=True, unknown=_unknown)
