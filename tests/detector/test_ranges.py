"""Ranges of inputs: the distance is scikit-learn's Mahalanobis, new groups stay inside, other images do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn
from scipy.spatial.distance import mahalanobis

from detector.data.appearance import appearance, sharpness
from detector.ranges import SHRINKAGE, Input, Ranges, Span, distances, measure, outside

GROUPS, EACH, WIDTH = 6, 40, 5


def crops(seed: int, groups: int = GROUPS) -> tuple[np.ndarray, np.ndarray]:
    """Return *groups* x 40 vectors, of variance 1 between groups and .25 within, and their groups."""
    rng = np.random.default_rng(seed)
    of_group = np.repeat(rng.normal(0, 1, (groups, WIDTH)), EACH, axis=0)
    return of_group + rng.normal(0, 0.5, of_group.shape), np.repeat(np.arange(groups), EACH)


def ranges(seed: int = 0) -> Ranges:
    values, group = crops(seed)
    columns = {"scale": [1.0, 2.0], "border": [0.0, 0.04], "landmarks": ["frame", "clip"]}
    return measure(values, values[:, 0], np.arange(len(values)) % 3 == 0, group, columns)


def given(**changes: object) -> Input:
    values = {"scale": 1.5, "border": 0.0, "sharpness": 0.0, "landmarks": "frame", "appearance": np.zeros(WIDTH)}
    return Input(**{**values, **changes})  # type: ignore[arg-type]


def test_the_distance_is_that_of_mahalanobis_with_a_shrunk_covariance() -> None:
    found = ranges().appearance
    assert found is not None
    values = crops(0)[0]
    shrunk = (1 - SHRINKAGE) * np.corrcoef(values.T) * len(values) / (len(values) - 1) + SHRINKAGE * np.eye(WIDTH)
    scaled = np.linalg.inv(shrunk * np.outer(values.std(0), values.std(0)))
    parts = np.array(found.mean), np.array(found.deviation), np.array(found.whitening)
    some = np.random.default_rng(7).normal(0, 2, (4, WIDTH))
    expected = [mahalanobis(row, values.mean(0), scaled) for row in some]
    np.testing.assert_allclose(distances(some, *parts), expected, rtol=1e-4)


def test_new_groups_are_inside_and_others_are_outside() -> None:
    found = ranges()
    assert found.appearance is not None
    assert found.appearance.flagged <= 0.05
    new = crops(1, 200)[0]
    shares = [
        np.mean([any("frequencies" in r for r in outside(found, given(appearance=value))) for value in values])
        for values in (new, new + 6)
    ]
    assert shares[0] < 0.15  # six groups do not permit more
    assert shares[1] > 0.99


def test_each_property_has_its_reason() -> None:
    found = ranges()
    assert outside(found, given()) == []
    assert found.scale == Span(0.9090909, 2.2)
    assert found.landmarks == {"clip": 1, "frame": 1}
    assert outside(found, given(scale=2.3)) == [
        "the face has 2.30 image pixels per crop pixel, the validation 0.91 to 2.20"
    ]
    expected = "10.0% of the crop lie beyond the image, in the validation at most 5.0%"
    assert outside(found, given(border=0.1)) == [expected]
    assert "sharpness is 99.0" in outside(found, given(sharpness=99.0))[0]
    assert "in another way than in the validation (none)" in outside(found, given(landmarks="none"))[0]
    unknown = given(scale=None, border=None, landmarks="")  # an image that is taken as a crop
    assert outside(found, unknown) == []


def test_one_group_gives_no_range_of_appearance() -> None:
    values, group = crops(0, 1)
    found = measure(values, values[:, 0], np.ones(len(values), bool), group, {})
    assert found.appearance is None
    assert "two independent groups" in found.reason
    assert (found.scale, found.border) == (None, None)
    assert outside(found, given(appearance=np.full(WIDTH, 99.0), sharpness=float(values[0, 0]))) == []


def test_the_amplitudes_are_those_of_scipys_dct() -> None:
    rng = np.random.default_rng(2)
    gray = rng.integers(0, 256, (20, 27), np.uint8)  # whole blocks only: 16 x 24
    found = appearance(np.repeat(gray[..., None], 3, axis=2))
    blocks = gray[:16, :24].astype(float).reshape(2, 8, 3, 8).swapaxes(1, 2)
    amplitude = np.abs(dctn(blocks, axes=(2, 3), norm="ortho")).mean(axis=(0, 1))
    diagonal = [np.mean([amplitude[i, d - i] for i in range(8) if 0 <= d - i < 8]) for d in range(1, 15)]
    np.testing.assert_allclose(found[:14], np.log(np.array(diagonal) + 0.02))
    assert found[14] == pytest.approx(gray.mean() / 32)
    assert found[16:23] == pytest.approx(np.full(7, np.log(0.02)))  # gray has no chroma
    assert len(found) == 35


def test_sharpness_rises_with_detail() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    assert sharpness(np.full((32, 32), 9, np.uint8)) == pytest.approx(np.log2(1e-3))
    assert sharpness(fine) > 10
