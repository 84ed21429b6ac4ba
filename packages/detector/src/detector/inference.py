"""P(fake) of batches of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .conditions import Condition
from .data.index import Face
from .errors import DetectorError
from .loading.augment import to_float
from .precision import Precision

__all__ = ["check_finite", "logits_of", "logits_unchecked", "logits_under", "predict", "sigmoid"]


@torch.inference_mode()
def _logits(model: nn.Module, images: Tensor, device: torch.device, precision: Precision) -> Tensor:
    """Return the logits of *images*, uint8 (N, H, W, 3), as float64 on the CPU."""
    with precision.autocast():
        logits: Tensor = model(to_float(images.to(device, non_blocking=True)))
    return logits.double().cpu()


def check_finite(logits: NDArray[np.float64], names: Callable[[int], str]) -> None:
    """Raise DetectorError, naming the first image, if one of *logits* (N,) is not finite."""
    wrong = np.flatnonzero(~np.isfinite(logits))
    if len(wrong):
        first = int(wrong[0])
        raise DetectorError(
            f"{len(wrong)} of {len(logits)} logits are not finite, so there are no scores; the first, "
            f"of {names(first)}, is {logits[first]}. The weights are finite but overflow on this input: train "
            "again with a lower train.lr"
        )


def predict(
    model: nn.Module, batches: Iterable[Tensor], device: torch.device, precision: Precision
) -> NDArray[np.float64]:
    """Return P(fake) of every image of *batches*, uint8 (N, H, W, 3) each. The model must be in evaluation mode.

    The result is float64 (N,) over all batches; *precision* chooses fp32 or half precision. DetectorError if a logit
    is not finite.
    """
    return sigmoid(logits_of(model, batches, device, precision))


def logits_of(
    model: nn.Module, batches: Iterable[Tensor], device: torch.device, precision: Precision
) -> NDArray[np.float64]:
    """Return the logits of `predict`, (N,) over all batches; *precision* chooses fp32 or half precision."""
    found = logits_unchecked(model, batches, device, precision)
    check_finite(found, lambda i: f"image {i + 1}")
    return found


def logits_unchecked(
    model: nn.Module, batches: Iterable[Tensor], device: torch.device, precision: Precision
) -> NDArray[np.float64]:
    """Return the logits of `logits_of`, (N,), whether they are finite or not; *precision* is fp32 or half."""
    logits = [_logits(model, images, device, precision).numpy() for images in batches]
    return np.concatenate(logits) if logits else np.empty(0)


def logits_under(
    model: nn.Module,
    batches: Iterable[NDArray[np.uint8]],
    index: Sequence[Face],
    conditions: Sequence[Condition],
    device: torch.device,
    precision: Precision,
) -> NDArray[np.float64]:
    """Return the logits, (n, C), of the crops *index* under C *conditions*.

    *batches*, uint8 (N, C, H, W, 3), are those of `conditioned`. DetectorError names the crop and the condition of a
    logit that is not finite.
    """
    columns = range(len(conditions))
    found = np.concatenate(
        [
            np.stack([_logits(model, torch.from_numpy(batch[:, c]), device, precision).numpy() for c in columns], 1)
            for batch in batches
        ]
    )
    check_finite(found.ravel(), lambda i: f"{index[i // len(columns)].key} under {conditions[i % len(columns)]}")
    return found


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(fake) of *logits*."""
    scores: NDArray[np.float64] = torch.sigmoid(torch.from_numpy(logits)).numpy()
    return scores
