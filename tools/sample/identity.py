"""Identities, about 45 numbers each, and their grouping in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .palette import CLOTH, GRAY_HAIR, HAIR, IRIS, SKIN

IDENTITIES = 0  # purpose of the random stream

HAIR_WEIGHTS = (0.12, 0.18, 0.20, 0.14, 0.10, 0.08, 0.06, 0.07, 0.05)
MALE_STYLES = {"short": 0.36, "part": 0.30, "buzz": 0.18, "curly": 0.16}
FEMALE_STYLES = {"long": 0.30, "bun": 0.20, "bob": 0.18, "curly": 0.10, "longpart": 0.22}
OUTFITS = ("suit", "tee", "shirt", "knit")


@dataclass(frozen=True, slots=True)
class Identity:
    """The parameters of a head. Lengths in half cheekbone widths, colours as palette indices.

    Proportions follow adult averages: cheekbones 135 mm, nasion to chin 120 mm, pupils 63 mm apart.
    """

    male: bool
    tone: float  # position on the ramp of skin colours
    hair_color: int
    iris_color: int
    age: float  # 0 young, 1 old
    style: str
    face_length: float
    jaw: float
    chin: float
    width: float
    temple: float
    eye_x: float  # half the distance of the eyes
    eye_width: float  # half
    eye_height: float
    eye_tilt: float
    lid_fold: float
    iris_radius: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_density: float
    nose_width: float  # half
    nose_length: float
    nose_height: float
    nose_tip: float
    nose_bridge: float
    mouth_width: float  # half
    upper_lip: float
    lower_lip: float
    mouth_y: float
    lip_redness: float
    cheek: float
    hollow: float
    brow_ridge: float
    hairline: float
    hair_volume: float
    stubble: float
    beard: bool
    freckles: float
    moles: int
    mottle: float
    pores: float
    oil: float
    seed: int  # of the random details: strokes, strands, noise
    cloth: int
    second_cloth: int
    outfit: str


def clipped_normal(rng: np.random.Generator, sd: float) -> float:
    """Return a normal draw with standard deviation *sd*, clipped at two of them."""
    return float(np.clip(rng.normal(0, sd), -2 * sd, 2 * sd))


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draw an identity. Ranges: the module's tables and the numbers below."""

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def normal(sd: float) -> float:
        return clipped_normal(rng, sd)

    male = bool(rng.random() < 0.55)
    tone = uniform(0, len(SKIN) - 1.001)
    if rng.random() < 0.45:
        tone = uniform(0, 4)
    dark = tone > 4.5
    hair_color = int(rng.integers(0, 2)) if dark else int(rng.choice(len(HAIR), p=HAIR_WEIGHTS))
    iris_color = int(rng.integers(0, 2)) if dark else int(rng.integers(0, len(IRIS)))
    age = uniform(0.0, 1.0) if rng.random() < 0.5 else uniform(0, 0.45)
    if hair_color >= GRAY_HAIR:
        age = max(age, 0.6)
    styles = MALE_STYLES if male else FEMALE_STYLES
    style = str(rng.choice(list(styles), p=list(styles.values())))
    return Identity(
        male=male,
        tone=tone,
        hair_color=hair_color,
        iris_color=iris_color,
        age=age,
        style=style,
        face_length=1 + normal(0.035),
        jaw=(0.80 if male else 0.73) + normal(0.035),
        chin=(0.36 if male else 0.29) + normal(0.035),
        width=1 + normal(0.03),
        temple=0.93 + normal(0.02),
        eye_x=0.455 + normal(0.016),
        eye_width=0.218 + normal(0.011),
        eye_height=0.082 + normal(0.008),
        eye_tilt=0.03 + normal(0.05),
        lid_fold=uniform(0.25, 1),
        iris_radius=0.086 + normal(0.003),
        brow_y=(-0.225 if male else -0.250) + normal(0.018),
        brow_thickness=(0.060 if male else 0.042) + normal(0.006),
        brow_arch=(0.035 if male else 0.06) + normal(0.015),
        brow_density=uniform(0.7, 1.0),
        nose_width=0.235 + normal(0.025) + 0.03 * dark,
        nose_length=0.655 + normal(0.03),
        nose_height=0.36 + normal(0.04),
        nose_tip=0.12 + normal(0.015),
        nose_bridge=0.085 + normal(0.012),
        mouth_width=0.355 + normal(0.025),
        upper_lip=0.075 + normal(0.012) + 0.015 * dark,
        lower_lip=0.100 + normal(0.014) + 0.015 * dark,
        mouth_y=1.0 + normal(0.022),
        lip_redness=uniform(0.2, 0.6) if male else uniform(0.4, 1.1),
        cheek=uniform(0.3, 1),
        hollow=uniform(-0.6, 1) if male else uniform(-0.6, 0.6),
        brow_ridge=uniform(0.5, 1.2) if male else uniform(0, 0.5),
        hairline=-0.98 + normal(0.07) - (0.10 * age if male else 0),
        hair_volume=uniform(0.06, 0.16) if male else uniform(0.10, 0.22),
        stubble=(uniform(0.15, 0.9) if rng.random() < 0.5 else uniform(0, 0.2)) if male else 0.0,
        beard=bool(male and rng.random() < 0.2),
        freckles=uniform(0, 1) if tone < 3 and rng.random() < 0.4 else 0.0,
        moles=int(rng.integers(0, 4)),
        mottle=uniform(0.5, 1.3),
        pores=uniform(0.5, 1.3),
        oil=uniform(0.25, 0.9),
        seed=int(rng.integers(1 << 31)),
        cloth=int(rng.integers(0, len(CLOTH))),
        second_cloth=int(rng.integers(0, len(CLOTH))),
        outfit=str(rng.choice(OUTFITS)),
    )


def draw_identities(seed: int, count: int) -> list[Identity]:
    """Draw *count* identities (even), ordered so that 2i and 2i + 1 are a pair that could be swapped for each other.

    Greedy: a random identity, then the nearest of those left in sex, skin tone, age and beard.
    """
    rng = np.random.default_rng([seed, IDENTITIES])
    left = [draw_identity(rng) for _ in range(count)]
    ordered: list[Identity] = []
    while left:
        first = left.pop(int(rng.integers(len(left))))
        distances = [_distance(first, other) for other in left]
        ordered += [first, left.pop(int(np.argmin(distances)))]
    return ordered


def _distance(a: Identity, b: Identity) -> float:
    return abs(a.tone - b.tone) + 1.5 * (a.male != b.male) + 0.6 * abs(a.age - b.age) + (a.beard != b.beard)
