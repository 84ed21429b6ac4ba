"""Head rotations. Products are written as sums, so that the result does not depend on the BLAS library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Vector = tuple[float, float, float]


def rotation_matrix(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the matrix (3, 3) that turns a head about y, then x, then z; angles in radians."""
    cy, sy = float(np.cos(yaw)), float(np.sin(yaw))
    cp, sp = float(np.cos(pitch)), float(np.sin(pitch))
    cr, sr = float(np.cos(roll)), float(np.sin(roll))
    return np.array(
        [
            [cr * cy + sr * sp * sy, -sr * cp, cr * sy - sr * sp * cy],
            [sr * cy - cr * sp * sy, cr * cp, sr * sy + cr * sp * cy],
            [-cp * sy, -sp, cp * cy],
        ]
    )


def rotated(matrix: np.ndarray, v: Sequence[Any] | np.ndarray) -> tuple[Any, ...]:
    """Return *matrix* times *v*; the components of *v* may be arrays."""
    return tuple(row[0] * v[0] + row[1] * v[1] + row[2] * v[2] for row in matrix.tolist())


def transposed(matrix: np.ndarray, v: Sequence[float] | np.ndarray) -> Vector:
    """Return the transpose of *matrix* (its inverse, if it is a rotation) times *v*."""
    x, y, z = (float(c) for c in v)
    a, b, c = matrix.tolist()
    return a[0] * x + b[0] * y + c[0] * z, a[1] * x + b[1] * y + c[1] * z, a[2] * x + b[2] * y + c[2] * z


def length(v: Vector) -> float:
    """Return the Euclidean length of *v*."""
    return float(np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]))
