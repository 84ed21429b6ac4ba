"""Written by ``make coverage``: shares of simulated 95 % intervals that contain the true value, by metric and pairs."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROWS", "Row"]


class Row(NamedTuple):
    """The lowest and highest share over the designs with `pairs` (least, most) pairs of people.

    `widest` is the largest width over that of a bootstrap of pairs which was stretched until it covers, over the
    designs in which that is possible; 0 where none has a bootstrap. `wide` is the number of designs above 1.25, of
    `measured`.
    """

    metric: str
    pairs: tuple[int, int]
    lowest: float
    highest: float
    widest: float = 0.0
    wide: int = 0
    measured: int = 0


ROWS: tuple[Row, ...] = (
    Row("AUC", (3, 3), 0.981, 0.995, 0.35, 0, 2),
    Row("bal. ACC", (3, 3), 0.918, 0.974, 0.58, 0, 2),
    Row("F1", (3, 3), 0.935, 0.969, 0.75, 0, 3),
    Row("EER", (3, 3), 0.980, 1.000, 0.65, 0, 2),
    Row("Brier", (3, 3), 0.958, 0.973, 1.40, 2, 4),
    Row("difference", (3, 3), 0.956, 0.963, 1.17, 0, 1),
    Row("worst cell", (3, 3), 0.987, 0.999, 0.55, 0, 2),
    Row("AP", (3, 3), 0.964, 0.983),
    Row("ACC", (3, 3), 0.941, 0.974),
    Row("precision", (3, 3), 0.953, 0.982),
    Row("sensitivity", (3, 3), 0.991, 1.000),
    Row("specificity", (3, 3), 0.977, 1.000),
    Row("MCC", (3, 3), 0.917, 0.974),
    Row("log loss", (3, 3), 0.960, 0.971),
    Row("ECE", (3, 3), 0.964, 1.000),
    Row("retention", (3, 3), 0.939, 0.974),
    Row("mean of conditions", (3, 3), 0.987, 0.988),
    Row("all cells", (3, 3), 0.990, 0.996),
    Row("asymmetry", (3, 3), 0.969, 0.969),
    Row("diff. bal. ACC", (3, 3), 0.992, 1.000),
    Row("AUC", (12, 24), 0.936, 0.987, 1.02, 0, 24),
    Row("bal. ACC", (12, 24), 0.917, 0.978, 1.10, 0, 25),
    Row("F1", (12, 24), 0.933, 0.973, 1.18, 0, 25),
    Row("EER", (12, 24), 0.922, 0.988, 1.39, 5, 24),
    Row("Brier", (12, 24), 0.922, 0.987, 1.46, 3, 28),
    Row("difference", (12, 24), 0.928, 1.000, 1.23, 0, 7),
    Row("worst cell", (12, 24), 0.958, 0.979, 1.02, 0, 8),
    Row("AP", (12, 24), 0.942, 0.996),
    Row("ACC", (12, 24), 0.933, 0.970),
    Row("precision", (12, 24), 0.921, 0.984),
    Row("sensitivity", (12, 24), 0.945, 0.986),
    Row("specificity", (12, 24), 0.932, 0.986),
    Row("MCC", (12, 24), 0.922, 0.970),
    Row("log loss", (12, 24), 0.920, 0.988),
    Row("ECE", (12, 24), 0.914, 0.997),
    Row("temperature", (12, 24), 0.943, 0.989),
    Row("retention", (12, 24), 0.945, 1.000),
    Row("mean of conditions", (12, 24), 0.942, 0.983),
    Row("all cells", (12, 24), 0.944, 0.985),
    Row("asymmetry", (12, 24), 0.946, 0.975),
    Row("diff. bal. ACC", (12, 24), 0.959, 0.989),
    Row("AUC", (36, 70), 0.939, 0.989, 1.14, 0, 13),
    Row("bal. ACC", (36, 70), 0.936, 0.964, 1.07, 0, 13),
    Row("F1", (36, 70), 0.942, 0.961, 1.09, 0, 13),
    Row("TPR at 5 %", (36, 70), 0.972, 0.997, 1.41, 3, 12),
    Row("EER", (36, 70), 0.929, 0.964, 1.23, 0, 13),
    Row("Brier", (36, 70), 0.961, 0.975, 1.28, 1, 13),
    Row("difference", (36, 70), 0.940, 0.999, 1.78, 1, 4),
    Row("worst cell", (36, 70), 0.964, 0.973, 1.17, 0, 4),
    Row("AP", (36, 70), 0.945, 0.997),
    Row("ACC", (36, 70), 0.940, 0.961),
    Row("precision", (36, 70), 0.933, 0.977),
    Row("sensitivity", (36, 70), 0.949, 0.971),
    Row("specificity", (36, 70), 0.935, 0.977),
    Row("MCC", (36, 70), 0.940, 0.961),
    Row("log loss", (36, 70), 0.959, 0.975),
    Row("ECE", (36, 70), 0.929, 0.959),
    Row("temperature", (36, 70), 0.945, 1.000),
    Row("retention", (36, 70), 0.941, 0.999),
    Row("mean of conditions", (36, 70), 0.935, 0.990),
    Row("all cells", (36, 70), 0.935, 0.976),
    Row("asymmetry", (36, 70), 0.958, 0.974),
    Row("diff. bal. ACC", (36, 70), 0.952, 0.988),
    Row("AUC", (140, 150), 0.949, 0.975, 1.03, 0, 4),
    Row("bal. ACC", (140, 150), 0.944, 0.958, 1.06, 0, 4),
    Row("F1", (140, 150), 0.949, 0.956, 1.05, 0, 4),
    Row("TPR at 5 %", (140, 150), 0.974, 0.995, 1.37, 4, 4),
    Row("TPR at 1 %", (140, 150), 0.985, 0.999, 1.31, 1, 2),
    Row("EER", (140, 150), 0.940, 0.961, 1.07, 0, 4),
    Row("Brier", (140, 150), 0.954, 0.969, 1.16, 0, 4),
    Row("AP", (140, 150), 0.945, 0.997),
    Row("ACC", (140, 150), 0.949, 0.957),
    Row("precision", (140, 150), 0.952, 0.960),
    Row("sensitivity", (140, 150), 0.946, 0.977),
    Row("specificity", (140, 150), 0.951, 0.956),
    Row("MCC", (140, 150), 0.947, 0.960),
    Row("log loss", (140, 150), 0.951, 0.966),
    Row("ECE", (140, 150), 0.934, 0.957),
    Row("temperature", (140, 150), 0.962, 0.968),
)
