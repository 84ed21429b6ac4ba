"""How a head moves: pose, blinks, speech, smiles, glances, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene import Scene


@dataclass(frozen=True, slots=True)
class Expression:
    """Pose and expression in one frame. Angles in radians, translations in head units, the rest as shares."""

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    zoom: float
    blink: float  # 1 = eyes shut
    opening: float  # of the mouth
    smile: float  # -.4 .. 1
    pucker: float
    brow: float  # raised
    gaze_x: float
    gaze_y: float


def drift(rng: np.random.Generator, count: int, sd: float, tau: float) -> np.ndarray:
    """Return an Ornstein-Uhlenbeck process with standard deviation *sd* and time constant *tau* frames, (count,).

    Smoothed by a Hann window of 7 frames.
    """
    value = rng.normal(0, sd)
    keep = np.exp(-1 / tau)
    values = []
    for _ in range(count):
        value = keep * value + np.sqrt(1 - keep * keep) * rng.normal(0, sd)
        values.append(value)
    kernel = np.hanning(7)
    return np.convolve(np.pad(values, 3, mode="edge"), kernel / kernel.sum(), "valid")


def animate(rng: np.random.Generator, count: int, fps: int, scene: Scene) -> list[Expression]:
    """Return the expressions of a clip of *count* frames at *fps* frames per second around the scene's mean pose."""
    time = np.arange(count) / fps
    rate = fps / 25
    turn = drift(rng, count, 0.075, 14 * rate)
    tracks = {
        "yaw": scene.yaw + turn,
        "pitch": scene.pitch + drift(rng, count, 0.045, 12 * rate),
        "roll": scene.roll + drift(rng, count, 0.030, 14 * rate),
        "x": drift(rng, count, 0.022, 16 * rate),
        "y": drift(rng, count, 0.016, 16 * rate),
        "zoom": 1 + drift(rng, count, 0.008, 20 * rate),
        "blink": _blinks(rng, time),
    }
    talking = bool(rng.random() < 0.75)
    phase = rng.uniform(0, 6.3, 4)
    speech = _speech(rng, time, phase)
    if talking:
        tracks["opening"] = speech * rng.uniform(0.35, 0.95)
    else:
        tracks["opening"] = rng.uniform(0, 0.06) + 0.02 * np.clip(drift(rng, count, 1, 10), 0, None)
    tracks["smile"] = np.clip(rng.normal(0.10, 0.25) + drift(rng, count, 0.12, 16 * rate), -0.4, 1)
    wave = np.sin(2 * np.pi * 2.1 * time + phase[3])
    tracks["pucker"] = np.clip((0.5 * wave - 0.1) * talking, 0, 1) * 0.7
    tracks["brow"] = np.clip(rng.normal(0, 0.25) + drift(rng, count, 0.22, 12 * rate), -0.7, 1.2)
    tracks["gaze_x"] = drift(rng, count, 0.022, 9 * rate) - 0.105 * turn  # the eyes keep their direction
    tracks["gaze_y"] = drift(rng, count, 0.010, 9 * rate)
    return [Expression(**{name: float(track[i]) for name, track in tracks.items()}) for i in range(count)]


def _blinks(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Return how far the lids are closed, 0..1: blinks of .3 s, first after U(.1, 1.6) s, then every U(1.2, 3.2) s."""
    shut = np.zeros(len(time))
    moment = rng.uniform(0.1, 1.6)
    while moment < time[-1] + 0.3:
        distance = np.abs(time - moment)
        shut = np.maximum(shut, np.clip(1.25 - (distance / 0.085) ** 2 * 0.55, 0, 1) * (distance < 0.16))
        moment += rng.uniform(1.2, 3.2)
    return shut


def _speech(rng: np.random.Generator, time: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Return the mouth opening of speech, 0..1: syllables, consonants and a slow swell."""
    syllables = 0.42 * np.sin(2 * np.pi * rng.uniform(2.6, 4.2) * time + phase[0])
    consonants = 0.30 * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time + phase[1])
    swell = 0.30 * np.sin(2 * np.pi * 0.8 * time + phase[2])
    return np.clip(syllables + consonants + swell + 0.12, 0, 1)
