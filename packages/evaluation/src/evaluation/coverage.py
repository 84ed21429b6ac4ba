"""How often the intervals contained the true value in the simulation of `make coverage` (docs/results.md)."""

from __future__ import annotations

__all__ = ["COVERAGE", "sentence"]

# lowest and highest share over the designs with 12 and more pairs; a test keeps them equal to docs/results.md
COVERAGE = {
    "AUC": (0.931, 0.988), "bal. ACC": (0.926, 0.981), "F1": (0.935, 0.976), "TPR at 5 %": (0.976, 0.999),
    "TPR at 1 %": (0.987, 0.996), "EER": (0.885, 0.994), "Brier": (0.938, 0.986), "AP": (0.908, 0.993),
    "log loss": (0.925, 0.985), "ECE": (0.910, 0.996), "temperature": (0.864, 0.990), "retention": (0.941, 1.0),
    "difference": (0.921, 1.0), "worst cell": (0.949, 0.977), "all cells": (0.936, 0.997),
}  # fmt: skip


def sentence() -> str:
    """Return the ranges in one sentence."""
    parts = [f"{name} {100 * low:.1f} to {100 * high:.1f}" for name, (low, high) in COVERAGE.items()]
    return (
        "How many of 100 intervals of 95 % contained the true value in simulations with 12 or more pairs, lowest and "
        f"highest over the designs: {', '.join(parts)}. More than 95: the interval is wider than needed."
    )
