"""Random histories of training crops: conditions with ranges and weights, written as short strings.

A history is a condition (`detector.conditions`) in which a range LOW..HIGH may stand for any number, followed by its
weight: ``moz:5..95/4:2:0 x18`` is mozjpeg at a quality from 5 to 95 with 4:2:0 chroma, 18 times as likely as a history
of weight 1, the weight of those without one. The values of a range are equally likely. They have as many decimal places
as its ends: 5..95 has 91 values, 0.50..0.75 has 26.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from evaluation.values import shown

from .conditions import Condition
from .conditions import parse as parse_condition
from .errors import ConfigError

__all__ = ["MAX_RANGES", "History", "canonical", "parse"]

MAX_RANGES = 8
RANGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\.\.(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
WEIGHT = re.compile(r"\s+x\s*(\d{1,6}(?:\.\d{1,6})?)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Range:
    """The values from `low` in steps of `step`, `count` of them."""

    low: Decimal
    step: Decimal
    count: int

    def at(self, draw: float) -> str:
        """Return the value at *draw* in [0, 1) as text."""
        return f"{self.low + self.step * int(draw * self.count):f}"


@dataclass(frozen=True, slots=True)
class History:
    """A history: `texts` are the parts of its label between the `ranges`."""

    texts: tuple[str, ...]
    ranges: tuple[Range, ...]
    weight: Decimal

    def draw(self, draws: Sequence[float]) -> Condition:
        """Return the condition with the values at *draws*, numbers in [0, 1), one for each range and any more."""
        return _condition(self._label([values.at(u) for values, u in zip(self.ranges, draws, strict=False)]))

    def _label(self, values: Sequence[str]) -> str:
        return "".join(text + value for text, value in zip(self.texts, (*values, ""), strict=True))

    def __str__(self) -> str:
        ends = [f"{values.low}..{values.low + values.step * (values.count - 1)}" for values in self.ranges]
        label = self._label(ends) if ends else str(_condition(self.texts[0]))
        return label if self.weight == 1 else f"{label} x{self.weight.normalize():f}"


def parse(value: str | int) -> History:
    """Return the history written as *value*; ConfigError says what is wrong with it.

    Every value of its ranges gives a valid condition.
    """
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    found = WEIGHT.search(text)
    label = re.sub(r"\s+", "", text[: found.start()] if found else text)
    weight = Decimal(found[1]) if found else Decimal(1)
    if not weight:
        raise ConfigError(f"history {shown(text)}: its weight is 0; leave it out")
    texts, ranges, end = [], [], 0
    for match in RANGE.finditer(label):
        texts.append(label[end : match.start()])
        ranges.append(_range(match[1], match[2], text))
        end = match.end()
    if len(ranges) > MAX_RANGES:
        raise ConfigError(f"history {shown(text)}: at most {MAX_RANGES} ranges, got {len(ranges)}")
    history = History((*texts, label[end:]), tuple(ranges), weight)
    try:
        for ends in (0.0, 1.0 - 2.0**-53):  # sizes and values grow with every number of a condition
            parse_condition(history._label([values.at(ends) for values in ranges]))
    except ConfigError as error:
        hint = "a history is a condition with ranges and a weight, such as moz:5..95/4:2:0 x18"
        raise ConfigError(f"history {shown(text)}: {error}; {hint}") from None
    return history


def canonical(value: str | int) -> str:
    """Return the canonical form of the history *value*."""
    return str(parse(value))


def _range(low: str, high: str, text: str) -> Range:
    places = max(len(number.partition(".")[2]) for number in (low, high))
    step = Decimal(1).scaleb(-places)
    first, last = Decimal(low).quantize(step), Decimal(high).quantize(step)
    if first >= last:
        raise ConfigError(f"history {shown(text)}: the range {low}..{high} must go from a lower to a higher number")
    return Range(first, step, int((last - first) / step) + 1)


@lru_cache(maxsize=4096)
def _condition(label: str) -> Condition:
    return parse_condition(label)
