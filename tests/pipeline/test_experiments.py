"""The grid of experiments: what is run under which name."""

from __future__ import annotations

import pytest

from detector.errors import DetectorError
from detector.experiments import combinations, experiment_name, overrides


def test_grid_is_every_combination_with_the_last_axis_fastest():
    grid = combinations(overrides(["quality=77,10", "seed=1,2"]))

    assert [tuple(row.values()) for row in grid] == [("77", "1"), ("77", "2"), ("10", "1"), ("10", "2")]


def test_experiments_are_named_after_their_settings():
    assert experiment_name({"quality": "77", "train.amp": "bf16", "faces.frames_per_second": "4"}) == (
        "quality-77.amp-bf16.frames-per-second-4"
    )


def test_an_axis_without_values_says_how_to_write_one():
    with pytest.raises(DetectorError, match="quality=77,10"):
        overrides(["quality"])
