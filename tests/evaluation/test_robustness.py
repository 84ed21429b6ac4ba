"""Area over the bit rate, worked by hand."""

import math

import numpy as np
import pytest

from evaluation.robustness import area_over_log_rate


def test_area_over_log_rate_by_hand():
    # rates 1, 2, 8: log steps 1 and 2 (base 2); trapezia (.6 + .8) / 2 and (.8 + .9) / 2
    expected = (1 * 0.7 + 2 * 0.85) / 3
    assert area_over_log_rate([1, 2, 8], [0.6, 0.8, 0.9]) == pytest.approx(expected)
    assert area_over_log_rate([8, 1, 2], [0.9, 0.6, 0.8]) == pytest.approx(expected)
    assert area_over_log_rate([0.2, 5], [0.7, 0.7]) == pytest.approx(0.7)


def test_area_without_two_rates_is_undefined():
    assert math.isnan(area_over_log_rate([1], [0.7]))
    assert math.isnan(area_over_log_rate([2, 2], [0.7, 0.8]))
    assert math.isnan(area_over_log_rate([1, 2], [0.7, np.nan]))


@pytest.mark.parametrize(
    ("rates", "values", "message"), [([0, 1], [1, 1], "positive, got 0"), ([1, 2], [1], "one value per rate")]
)
def test_impossible_rates_are_refused(rates, values, message):
    with pytest.raises(ValueError, match=message):
        area_over_log_rate(rates, values)
