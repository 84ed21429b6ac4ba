"""Light on a head: diffuse skin with cheap subsurface scattering, highlights, hair. Everything in head space."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import SCALE, SHAPE, Map, blur
from .head import FaceMaps, Head
from .rotation import Vector, length, transposed
from .scene import Scene

# per channel: how far light wraps around, and how much of the blurred normals is mixed in; red travels farthest in skin
WRAP, SCATTER = (0.30, 0.16, 0.12), (0.70, 0.40, 0.30)
BOUNCE = np.array([1.15, 0.95, 0.88], np.float32)  # light thrown up by shoulders and desk


@dataclass(frozen=True, slots=True)
class Lights:
    """Directions in head space, (x, y, z) of length 1."""

    key: Vector
    fill: Vector
    camera: Vector
    up: Vector


def lights_on(scene: Scene, rotation: np.ndarray) -> Lights:
    """Return the scene's lights as a head turned by *rotation* (3, 3) sees them."""
    return Lights(
        key=transposed(rotation, scene.key),
        fill=transposed(rotation, scene.fill),
        camera=transposed(rotation, (0, 0, 1)),
        up=transposed(rotation, (0, -1, 0)),
    )


@dataclass(slots=True)
class Normals:
    """Unit normals of a height map."""

    x: Map
    y: Map
    z: Map

    def dot(self, v: Vector) -> Map:
        return self.x * v[0] + self.y * v[1] + self.z * v[2]


def normals(height: Map, steepness: float = 1.0) -> Normals:
    """Return the normals of *height* (units), from Sobel gradients."""
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=SCALE / 8 * steepness)
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=SCALE / 8 * steepness)
    z = 1 / np.sqrt(gx * gx + gy * gy + 1)
    return Normals(-gx * z, -gy * z, z)


def halfway(a: Vector, b: Vector) -> Vector:
    """Return the unit vector between two directions (Blinn's)."""
    x, y, z = a[0] + b[0], a[1] + b[1], a[2] + b[2]
    norm = length((x, y, z))
    return x / norm, y / norm, z / norm


def shade(head: Head, maps: FaceMaps, scene: Scene, lights: Lights, shadow: Map) -> tuple[Map, Map]:
    """Return the colour (HEIGHT, WIDTH, 3), multiplied by its coverage, and coverage of head and hair, in linear light.

    *shadow* is what the key light's self-shadow leaves, 0..1.
    """
    fine = normals(maps.height + 0.0026 * head.identity.pores * head.skin.pores)
    broad = normals(blur(maps.height, 0.028 * SCALE))
    softened = shadow * (1 - 0.35 * scene.softness) + 0.35 * scene.softness
    skin = _diffuse(head, maps, scene, lights, fine, broad, softened)
    skin += _highlights(maps, scene, lights, fine, broad, softened)
    skin += 0.8 * maps.catch_light[..., None] * scene.key_color
    hair_cover = head.hair.alpha
    skin_cover = maps.alpha * (1 - hair_cover)
    color = skin * skin_cover[..., None] + _hair(head, scene, lights) * hair_cover[..., None]
    return color, skin_cover + hair_cover


def _diffuse(
    head: Head, maps: FaceMaps, scene: Scene, lights: Lights, fine: Normals, broad: Normals, shadow: Map
) -> Map:
    fine_key, broad_key = fine.dot(lights.key), broad.dot(lights.key)
    fill = np.clip(broad.dot(lights.fill) * 0.5 + 0.5, 0, 1) * maps.occlusion
    upward = np.clip(broad.dot(lights.up), -1, 1)
    sky = (0.76 + 0.24 * upward) * maps.occlusion
    hair_shadow = 1 - 0.50 * head.hair.shadow
    # red light leaks into shadows
    leaked = np.sqrt(shadow * (0.35 * blur(shadow, 0.04 * SCALE) + 0.65 * shadow) + 1e-6)
    color = np.zeros((*SHAPE, 3), np.float32)
    for c in range(3):
        wrap = WRAP[c] + 0.20 * scene.softness
        lambert = fine_key * (1 - SCATTER[c]) + broad_key * SCATTER[c]
        key = np.clip((lambert + wrap) / (1 + wrap), 0, 1) ** 1.25
        light = scene.key_color[c] * key * (leaked if c == 0 else shadow) * 1.15
        light = light + scene.fill_color[c] * fill + scene.ambient[c] * sky
        color[..., c] = maps.albedo[..., c] * light * (np.sqrt(hair_shadow) if c == 0 else hair_shadow)
    bounced = np.clip(-upward, 0, 1) * (0.30 + 0.70 * maps.occlusion) * 0.16
    return color + maps.albedo * bounced[..., None] * BOUNCE * scene.key_color


def _highlights(
    maps: FaceMaps, scene: Scene, lights: Lights, fine: Normals, broad: Normals, shadow: Map
) -> Map:
    """Return a broad and a narrow lobe (Blinn-Phong, exponents 13, 34), stronger at grazing angles; wet lips (60)."""
    half = halfway(lights.key, lights.camera)
    narrow = np.clip(fine.dot(half), 0, 1)
    wide = np.clip(broad.dot(half), 0, 1)
    grazing = 0.35 + 0.65 * (1 - np.clip(fine.dot(lights.camera), 0, 1)) ** 4
    facing = np.clip(fine.dot(lights.key) * 4, 0, 1)
    skin = (0.55 * wide**13 + 0.72 * narrow**34) * maps.gloss * shadow * grazing * facing
    wet = maps.wetness * narrow**60 * 0.5 * shadow
    half_fill = halfway(lights.fill, lights.camera)
    fill = 0.06 * maps.gloss * np.clip(broad.dot(half_fill), 0, 1) ** 14
    return 0.21 * (skin + wet)[..., None] * scene.key_color + fill[..., None] * scene.fill_color


def _hair(head: Head, scene: Scene, lights: Lights) -> Map:
    """Return the highlights of hair (Kajiya and Kay, Rendering fur with three dimensional textures, 1989)."""
    hair = head.hair
    surface = normals(blur(hair.height, 1.5), 0.8)
    key = np.clip((surface.dot(lights.key) + 0.35) / 1.35, 0, 1)
    fill = np.clip(surface.dot(lights.fill) * 0.5 + 0.5, 0, 1)
    sky = 0.65 + 0.35 * np.clip(surface.dot(lights.up), -1, 1)
    half = halfway(lights.key, lights.camera)
    along = hair.tangent[..., 0] * half[0] + hair.tangent[..., 1] * half[1]
    shine = np.sqrt(np.clip(1 - along * along, 0, 1)) ** 28 * key * np.clip(1 + 0.5 * hair.strand, 0.1, None) * 0.5
    light = key[..., None] * scene.key_color + fill[..., None] * scene.fill_color + sky[..., None] * scene.ambient
    strength = shine * (0.035 + 0.25 * hair.color.mean(-1))
    return hair.color * light + strength[..., None] * scene.key_color
