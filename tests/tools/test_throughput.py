"""Throughput on rendered crops: the report, and that measuring does not change the results."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import mozcodec
from detector.config import Params, TrainConfig
from detector.data.index import read_index
from detector.data.shards import ShardReader
from tools.__main__ import cli
from tools.throughput import MODES, Rate, draw_crops, measure, table

PARAMS = Params(train=TrainConfig(batch_size=4, threads=1, histories=None))


@pytest.fixture(autouse=True)
def torch_as_found():
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("throughput") / "crops"
    draw_crops(folder, 48, 8)
    return folder


def test_drawn_crops_are_packed_crops_of_both_classes(crops, tmp_path):
    faces = read_index(crops)
    assert [face.label for face in faces] == [1] * 4 + [0] * 4
    draw_crops(tmp_path / "again", 48, 8)
    reader, again = ShardReader(crops), ShardReader(tmp_path / "again")
    assert all(reader.read(face, check=True) == again.read(face, check=True) for face in faces)


def test_drawn_crops_of_a_quality_are_coded_as_the_compress_stage_codes(tmp_path):
    draw_crops(tmp_path, 48, 2, 60)
    for face in read_index(tmp_path):
        data = bytes(ShardReader(tmp_path).read(face))
        assert mozcodec.read_header(data).progressive
        assert mozcodec.inspect(data).quality.quality == 60


def test_every_mode_reports_its_rates(crops, tmp_path):
    result = measure(PARAMS, crops, tuple(MODES), 0.05, 1, tmp_path)
    assert [row["mode"] for row in result["results"]] == list(MODES)
    for row in result["results"]:
        assert row["images"] % 4 == 0
        assert 0 < row["images_per_second_min"] <= row["images_per_second"] <= row["images_per_second_max"]
        assert row["peak_memory_bytes"] > 10_000_000
        assert row["warm_up_seconds"] > 0
    rows = {row["mode"]: row for row in result["results"]}
    assert rows["synthetic"]["step_milliseconds"].keys() == {"inputs", "gradients", "update"}
    assert 0 <= rows["data"]["stall_share"] < 1
    assert result["ratios"].keys() == {
        "time_of_synthetic_over_bare",
        "rate_of_synthetic_over_itemized",
        "rate_of_synthetic_over_plain",
        "rate_of_loader_over_pillow",
        "rate_of_loader_over_imagefolder",
        "time_of_data_over_files",
    }
    assert (result["size"], result["batch"], result["versions"]["torch"]) == ([48, 48], 4, str(torch.__version__))
    # Meso4 at 48 x 48, by hand: output pixels x output channels x inputs of one output, and the two dense layers
    layers = [48**2 * 8 * 27, 24**2 * 8 * 200, 12**2 * 16 * 200, 6**2 * 16 * 400, 1024 * 16, 16]
    average = [8 * 1 * 16, 8 * 1 * 8 * 16]  # of the single pixel that is left to 8 x 8 cells: rows, then columns
    assert result["macs"] == sum(layers) + sum(average)
    text = table(result)
    assert all(mode in text for mode in MODES)
    assert "0.002 G multiply-adds a crop" in text


def test_rates_are_medians_over_windows():
    # by hand: 10, 20 and 40 images in a second each, by half a second of the processor
    report = Rate("loader", [(10, 1.0, 0.5), (40, 1.0, 0.5), (20, 1.0, 0.5)]).report()
    names = ("images_per_second_min", "images_per_second", "images_per_second_max")
    assert [report[name] for name in names] == [10, 20, 40]
    assert report["images_per_cpu_second"] == 40
    assert report["images"] == 70


def test_the_command_prints_a_table_and_writes_json(crops, tmp_path):
    out = tmp_path / "throughput.json"
    arguments = ["throughput", "--mode", "loader", "--crops", str(crops), "--batch", "4", "--seconds", "0.05"]
    result = CliRunner().invoke(cli, [*arguments, "--recompress", "0.5", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "loader" in result.output
    written = json.loads(out.read_text())
    assert written["recompress"] == 0.5
    assert np.isfinite(written["results"][0]["images_per_second"])
