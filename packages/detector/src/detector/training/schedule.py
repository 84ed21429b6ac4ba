"""Schedules as pure functions of the step, so that nothing has to be saved or restored."""

from __future__ import annotations

import math

__all__ = ["ema_decay", "one_cycle"]

START_RATIO = 1 / 10  # of the peak learning rate, where the warm-up begins
END_RATIO = 1 / 500  # of the peak, where the cosine ends


def one_cycle(step: int, steps: int, lr: float, warmup_ratio: float) -> float:
    """Return the learning rate of *step* (from 0) of *steps*, with the peak *lr*.

    Linear from lr/10 over the first ``warmup_ratio * steps`` steps, then a cosine down to lr/500 at *steps*.
    """
    warmup = warmup_ratio * steps
    if step < warmup:
        return lr * (START_RATIO + (1 - START_RATIO) * step / warmup)
    progress = (step - warmup) / max(steps - warmup, 1)
    return lr * (END_RATIO + (1 - END_RATIO) * (1 + math.cos(math.pi * progress)) / 2)


def ema_decay(step: int, decay: float) -> float:
    """Return the weight the moving average keeps at *step* (from 0): min(decay, (step + 1) / (step + 10)).

    The small initial values (as in TensorFlow's ExponentialMovingAverage) remove the random initial weights quickly.
    """
    return min(decay, (step + 1) / (step + 10))
