"""Written by ``make coverage``: shares of simulated 95 % intervals that contain the true value, by metric and pairs."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROWS", "Row"]


class Row(NamedTuple):
    """The lowest and highest share over the designs with `pairs` (least, most) pairs of people."""

    metric: str
    pairs: tuple[int, int]
    lowest: float
    highest: float


ROWS: tuple[Row, ...] = (
    Row("AUC", (3, 3), 0.981, 0.995),
    Row("bal. ACC", (3, 3), 0.918, 0.974),
    Row("F1", (3, 3), 0.935, 0.969),
    Row("EER", (3, 3), 0.980, 1.000),
    Row("Brier", (3, 3), 0.958, 0.973),
    Row("difference", (3, 3), 0.956, 0.963),
    Row("worst cell", (3, 3), 0.987, 0.999),
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
    Row("AUC", (12, 24), 0.936, 0.987),
    Row("bal. ACC", (12, 24), 0.917, 0.978),
    Row("F1", (12, 24), 0.933, 0.973),
    Row("EER", (12, 24), 0.922, 0.988),
    Row("Brier", (12, 24), 0.922, 0.987),
    Row("difference", (12, 24), 0.928, 1.000),
    Row("worst cell", (12, 24), 0.958, 0.979),
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
    Row("AUC", (36, 70), 0.939, 0.989),
    Row("bal. ACC", (36, 70), 0.936, 0.964),
    Row("F1", (36, 70), 0.942, 0.961),
    Row("TPR at 5 %", (36, 70), 0.972, 0.997),
    Row("EER", (36, 70), 0.929, 0.964),
    Row("Brier", (36, 70), 0.961, 0.975),
    Row("difference", (36, 70), 0.940, 0.999),
    Row("worst cell", (36, 70), 0.964, 0.973),
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
    Row("AUC", (140, 150), 0.949, 0.975),
    Row("bal. ACC", (140, 150), 0.944, 0.958),
    Row("F1", (140, 150), 0.949, 0.956),
    Row("TPR at 5 %", (140, 150), 0.974, 0.995),
    Row("TPR at 1 %", (140, 150), 0.985, 0.999),
    Row("EER", (140, 150), 0.940, 0.961),
    Row("Brier", (140, 150), 0.954, 0.969),
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
