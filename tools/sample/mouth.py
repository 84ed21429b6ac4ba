"""The mouth: lips, teeth and tongue, painted into the maps of a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .animation import Expression
from .canvas import EDGE, X, Y, ridge, smoothstep, window
from .head import FaceMaps, Head, MouthCurves, mouth_curves
from .palette import linear

DEPTH = np.array([0.030, 0.010, 0.010], np.float32)  # linear colour of the dark inside
LINE = np.array([0.75, 0.92, 0.92], np.float32)
TEETH, TONGUE = (216, 205, 186), (150, 72, 70)
TOOTH = 0.075  # width, units


@dataclass(slots=True)
class _Parts:
    """Coverage of the parts of a mouth, 0..1, and positions within them."""

    upper_lip: np.ndarray
    lower_lip: np.ndarray
    inside: np.ndarray
    teeth: np.ndarray
    in_upper: np.ndarray  # 0 at the upper lip's upper edge, 1 at its lower
    in_lower: np.ndarray
    across: np.ndarray  # 0 in the middle, 1 at the corners
    below: np.ndarray  # units below the upper lip


def paint_mouth(head: Head, maps: FaceMaps, expression: Expression) -> None:
    """Paint lips and the inside of the mouth into *maps*."""
    mouth_y = head.identity.mouth_y
    part = window(-0.62, mouth_y - 0.26, 0.62, mouth_y + 0.52)
    x, y = X[part], Y[part]
    curves = mouth_curves(head.identity, expression, x)
    parts = _parts(curves, x, y)
    albedo = maps.albedo[part]
    cover = np.clip(parts.upper_lip * 0.92 + parts.lower_lip * 0.90, 0, 1)[..., None]
    albedo[:] = albedo * (1 - cover) + _lip_color(head, part, parts) * cover
    inside = parts.inside[..., None]
    albedo[:] = albedo * (1 - inside) + _inside_color(curves, parts, x) * inside
    line = ridge(y - curves.upper, 0.0085) * np.clip((curves.half_width * 1.05 - np.abs(x)) / 0.05, 0, 1)
    albedo *= 1 - (0.72 if expression.opening < 0.1 else 0.45) * line[..., None] * LINE
    _shape_mouth(head, maps, part, parts, curves)


def _parts(curves: MouthCurves, x: np.ndarray, y: np.ndarray) -> _Parts:
    between = np.clip((curves.half_width - np.abs(x)) / 0.02, 0, 1)
    across = np.clip(np.abs(x) / curves.half_width, 0, 1)
    below = y - curves.upper
    inside = smoothstep(-EDGE, EDGE, below) * smoothstep(-EDGE, EDGE, curves.lower - y)
    teeth = smoothstep(0.0, 0.008, below) * (1 - smoothstep(0.050, 0.066, below)) * (1 - smoothstep(0.70, 0.92, across))
    return _Parts(
        upper_lip=smoothstep(-0.011, 0.011, y - curves.top) * smoothstep(-EDGE, EDGE, -below) * between,
        lower_lip=smoothstep(-EDGE, EDGE, y - curves.lower) * smoothstep(-0.014, 0.014, curves.bottom - y) * between,
        inside=inside * (np.abs(x) < curves.half_width),
        teeth=teeth * (curves.lower - curves.upper > 0.02),
        in_upper=np.clip((y - curves.top) / np.maximum(curves.upper - curves.top, 0.01), 0, 1),
        in_lower=np.clip((y - curves.lower) / np.maximum(curves.bottom - curves.lower, 0.01), 0, 1),
        across=across,
        below=below,
    )


def _lip_color(head: Head, part: tuple[slice, slice], parts: _Parts) -> np.ndarray:
    identity = head.identity
    redness = identity.lip_redness
    bluish = min(redness + 0.35, 1.2)
    tint = np.array([1 - 0.12 * redness, 1 - 0.42 * bluish, 1 - 0.36 * bluish], np.float32)
    color = head.skin.base * tint * (0.84 if identity.tone < 5 else 0.95)
    texture = 1 + 0.05 * head.lip_lines[part] + 0.03 * head.lip_grain[part]
    shade = 1 - 0.22 * smoothstep(0.55, 1, parts.in_upper) * parts.upper_lip
    shade = shade - 0.18 * (1 - smoothstep(0, 0.3, parts.in_lower)) * parts.lower_lip
    return color * (texture * shade)[..., None]


def _inside_color(curves: MouthCurves, parts: _Parts, x: np.ndarray) -> np.ndarray:
    """Paint the dark cavity, the tongue if the mouth is wide open, and the upper teeth."""
    gap = np.maximum(curves.lower - curves.upper, 1e-3)
    tongue = (smoothstep(0.45, 0.95, parts.below / gap) * (gap > 0.07) * (1 - parts.across**2))[..., None]
    color = DEPTH * (1 - tongue) + linear(TONGUE) * 0.30 * tongue
    to_gap = np.abs(np.abs(((x + TOOTH / 2) / TOOTH) % 1 - 0.5) - 0.5)
    enamel = (1 - 0.55 * parts.across**1.5) * (1 - 0.28 * ridge(to_gap, 0.07))
    enamel = enamel * (0.62 + 0.38 * smoothstep(0.0, 0.03, parts.below))
    teeth = parts.teeth[..., None]
    return color * (1 - teeth) + linear(TEETH) * 0.62 * enamel[..., None] * teeth


def _shape_mouth(
    head: Head, maps: FaceMaps, part: tuple[slice, slice], parts: _Parts, curves: MouthCurves
) -> None:
    """Paint relief, gloss and occlusion of the lips and the opening."""
    lips = np.clip(parts.upper_lip + parts.lower_lip, 0, 1)
    inside = parts.inside
    bulge = 0.030 * 4 * parts.in_upper * (1 - parts.in_upper) * parts.upper_lip
    bulge = bulge + 0.055 * (4 * parts.in_lower * (1 - parts.in_lower)) ** 0.8 * parts.lower_lip
    between = np.clip((curves.half_width - np.abs(X[part])) / 0.02, 0, 1)
    maps.height[part] += bulge - 0.05 * inside - 0.012 * ridge(parts.below, 0.012) * between
    gloss = maps.gloss[part]
    shine = 0.61 if head.identity.male else 0.85
    gloss[:] = gloss * (1 - lips) + lips * shine * (1 + 0.3 * head.lip_lines[part])
    gloss[:] = gloss * (1 - inside) + 0.25 * inside * parts.teeth
    maps.wetness[part] = np.maximum(maps.wetness[part], lips * 0.6)
    occlusion = maps.occlusion[part]
    occlusion[:] = occlusion * (1 - inside) + inside * (0.55 + 0.35 * parts.teeth)
