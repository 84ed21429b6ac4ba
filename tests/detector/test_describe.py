"""``detector describe``: measured sizes against hand-counted and published ones; errors of the paper are marked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from detector.cli import cli
from detector.errors import DetectorError
from detector.models.describe import family_table, measure, paper_remark
from detector.models.scaling import PAPER_GIGA_MACS, SCALING


def test_sizes_of_meso4_are_those_counted_by_hand() -> None:
    found = measure("meso4")
    # multiply-adds: output pixels x output channels x inputs of one output
    convolutions = [256**2 * 8 * 27, 128**2 * 8 * 200, 64**2 * 16 * 200, 32**2 * 16 * 400]

    assert found.parameters == 27_977
    assert found.macs == sum(convolutions) + 1024 * 16 + 16
    assert [part.macs for part in found.parts[:4]] == convolutions
    assert found.parts[3].shape == "16 x 8 x 8"


# timm's own measurements in G multiply-adds, with 1,000 classes; ours have one: up to .003 less
@pytest.mark.parametrize(
    ("name", "giga_macs"),
    [("efficientnet_b0", 0.386), ("efficientnet_b4", 4.394), ("efficientnet_b8", 62.597), ("efficientnet_l2", 475.704)],
)
def test_multiply_adds_of_the_family_are_the_published_ones(name: str, giga_macs: float) -> None:
    found = measure(name)

    assert giga_macs - 0.006 < found.macs / 1e9 <= giga_macs
    assert sum(part.macs for part in found.parts) == found.macs
    assert sum(part.parameters for part in found.parts) == found.parameters


def test_size_of_the_input_can_be_chosen() -> None:
    assert measure("efficientnet_b4", 256).macs / 1e9 == pytest.approx(1.963, abs=0.003)


def test_only_b8_of_the_paper_is_marked_wrong() -> None:
    giga_macs = [0.385, 0.686, 0.992, 1.826, 4.392, 10.264, 19.065, 37.743, 62.595, 475.698]  # measured, as above
    measured = dict(zip(["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "l2"], giga_macs, strict=True))
    remarks = {name: paper_remark(f"efficientnet_{name}", int(1e9 * macs)) for name, macs in measured.items()}

    assert {name for name, remark in remarks.items() if remark} == {"b8", "l2"}
    assert remarks["b8"] == "wrong in the paper: 1.43 times the measured"
    assert remarks["l2"] == "the paper has a dash"
    assert set(PAPER_GIGA_MACS) <= set(SCALING)


def test_table_shows_both_costs_and_the_scaling_constraint() -> None:
    table = family_table([measure("efficientnet_b0"), measure("meso4")]).splitlines()

    assert table[1].split() == ["efficientnet_b0", "1.0", "1.0", "224", "0.2", "4,008,829", "0.385", "0.39"]
    assert table[2].split() == ["meso4", "-", "-", "256", "0.5", "27,977", "0.060", "-"]
    assert "alpha * beta^2 * gamma^2 = 1.920, about 2. The paper's alpha * beta^2 * gamma is 1.670." in table


def test_command_lists_the_parts_of_a_model() -> None:
    result = CliRunner().invoke(cli, ["describe", "multi_attention", "--size", "256"])

    assert result.exit_code == 0
    first, *lines = [line.split() for line in result.output.splitlines() if line]
    assert " ".join(first) == "multi_attention, one image of 256 x 256, dropout 0.5"
    assert ["texture", "128", "x", "64", "x", "64", "73,856"] in [line[:7] for line in lines]
    assert lines[-1][:2] == ["all", "18,641,713"]


def test_unknown_model_is_named() -> None:
    result = CliRunner().invoke(cli, ["describe", "resnet50"])

    assert result.exit_code == 1
    assert "unknown model 'resnet50'; known models: efficientnet_b0, " in result.output
    with pytest.raises(DetectorError, match="unknown model"):
        measure("resnet50")
