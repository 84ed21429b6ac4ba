"""Gains computed from table 1 of the paper: its gain rows and its "+3 %" do not follow from the table."""

import pytest

from evaluation.literature import BASELINES, COLUMNS, MEAN_OVER, gain, gains, mean_over

ROWS = {row.model: row.auc for row in BASELINES}
OURS = ROWS["EfficientNet-B4*"]


@pytest.mark.parametrize(
    ("baseline", "by_column", "mean"),
    [
        # worked from the table: .9806 - .9757 and so on
        ("EfficientNet-B4", (0.49, 1.12, -0.89, 2.23), 0.74),
        ("Meso4", (30.35, 37.00, 37.62, 38.30), 35.82),
        ("MesoInception4", (12.64, 17.83, 22.87, 30.14), 20.87),
    ],
)
def test_gains_in_points_are_differences_of_one_column(baseline, by_column, mean):
    found = gains(OURS, ROWS[baseline])
    assert [found[column].points for column in MEAN_OVER] == pytest.approx(by_column, abs=0.005)
    assert found["mean"].points == pytest.approx(mean, abs=0.005)


def test_the_gain_over_efficientnet_b4_is_not_three_per_cent():
    found = gains(OURS, ROWS["EfficientNet-B4"])["mean"]
    assert found.relative == pytest.approx(100 * (0.972875 - 0.9655) / 0.9655)
    assert found.relative < 0.8
    # "+3 %" comes of subtracting a mean over six columns from one over four
    assert gain(0.9729, 0.9389).points == pytest.approx(3.40)


def test_a_missing_column_counts_on_neither_side():
    found = gains(OURS, ROWS["Meso4"])
    assert "FF-c23" not in found
    assert "FF-c40" not in found
    partly = gains({"FF-DF": 0.9, "FF-NT": 0.7}, ROWS["Meso4"])
    assert partly["mean"].points == pytest.approx(100 * ((0.9 + 0.7) / 2 - (0.6771 + 0.5701) / 2))
    assert gains({}, ROWS["Meso4"]) == {}


def test_relative_gains_divide_by_the_same_rows_value():
    # table 3 of the paper, before and after more frames: F2F, DF, FS, NT
    rows = [(0.883, 0.910, 3.06), (0.930, 0.938, 0.86), (0.916, 0.940, 2.62), (0.718, 0.757, 5.43)]
    for before, after, relative in rows:
        assert gain(after, before).relative == pytest.approx(relative, abs=0.005)


@pytest.mark.parametrize(
    ("model", "mean"),
    [("Meso4", 0.6147), ("MesoInception4", 0.7642), ("EfficientNet-B4", 0.9655), ("EfficientNet-B4*", 0.9729),
     ("UCF", 0.9765), ("Xception", 0.9701)],
)  # fmt: skip
def test_means_are_over_the_four_methods_for_everyone(model, mean):
    assert mean_over(ROWS[model]) == pytest.approx(mean, abs=0.0001)


def test_a_mean_with_a_missing_method_is_undefined():
    assert mean_over({"FF-DF": 0.9}) != mean_over({"FF-DF": 0.9})
    assert mean_over(OURS, COLUMNS) != mean_over(OURS, COLUMNS)
