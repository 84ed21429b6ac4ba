"""params.yaml and the dataclasses agree, and every mistake is named."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from detector.config import CompressConfig, Params, from_mapping, read_params
from detector.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def text_of(error: pytest.ExceptionInfo[ConfigError]) -> str:
    return str(error.value)


def test_defaults_are_those_of_params_yaml() -> None:
    assert read_params(ROOT / "params.yaml") == Params()


def test_params_yaml_says_every_parameter() -> None:
    def names(mapping: dict[str, Any], prefix: str = "") -> set[str]:
        return {
            name
            for key, value in mapping.items()
            for name in (names(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key})
        }

    assert names(YAML(typ="safe", pure=True).load(ROOT / "params.yaml")) == names(asdict(Params()))


def test_defaults_pass_their_own_checks() -> None:
    assert from_mapping(Params, asdict(Params())) == Params()


def test_a_missing_section_or_an_empty_file_keeps_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("quality: 10\ntrain:\n")
    assert read_params(tmp_path / "params.yaml") == Params(quality=10)
    (tmp_path / "params.yaml").write_text("")
    assert read_params(tmp_path / "params.yaml") == Params()


def test_yaml_1_2_keeps_subsampling_a_text(tmp_path: Path) -> None:
    # YAML 1.1 would read 4:2:0 as 14520 in base 60
    (tmp_path / "params.yaml").write_text("compress:\n  subsampling: 4:2:0\n  tune: ms-ssim\ntrain:\n  lr: 1e-3\n")
    params = read_params(tmp_path / "params.yaml")
    assert params.compress == CompressConfig("4:2:0", "ms-ssim")
    assert params.train.lr == 0.001


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"quality": "10"}, ("quality", 10)),
        ({"quality": 10.0}, ("quality", 10)),
        ({"seed": "3"}, ("seed", 3)),
        ({"conditions": ["raw", "77", 10]}, ("conditions", ("raw", "77", "10"))),
        ({"conditions": ["moz:77", " resize:0.50>10"]}, ("conditions", ("77", "resize:0.5>moz:10"))),
        ({"model": "efficientnet_b4"}, ("model", "efficientnet_b4")),
    ],
)
def test_numbers_may_come_as_text(given: dict[str, Any], expected: tuple[str, Any]) -> None:
    name, value = expected
    found = getattr(from_mapping(Params, given), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("conditions=[raw,77,turbo:90]", ("raw", "77", "turbo:90")),
        ("conditions=[moz:77/4:2:0,scaled:16/77,resize:0.5]", ("moz:77/4:2:0", "scaled:16/77", "resize:0.5")),
        ('conditions=[raw,"turbo:90>resize:0.5>moz:60"]', ("raw", "turbo:90>resize:0.5>moz:60")),
    ],
)
def test_conditions_come_through_dvc_exp_run(override: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    apply_overrides(path, [override])  # what dvc exp run -S does
    assert read_params(path).conditions == expected


def test_unset_values_may_come_as_null_or_its_name() -> None:
    for nothing in (None, "null", "None", ""):
        faces = from_mapping(Params, {"faces": {"frames_per_second": nothing}}).faces
        assert faces.frames_per_second is None
    assert from_mapping(Params, {"faces": {"frames_per_second": "2.5"}}).faces.frames_per_second == 2.5
    assert from_mapping(Params, {"train": {"threads": "auto"}}).train.threads == "auto"
    assert from_mapping(Params, {"train": {"threads": "2"}}).train.threads == 2
    assert from_mapping(Params, {"train": {"paired": "False"}}).train.paired is False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"qualty": 10}, "qualty is not a parameter; did you mean quality?"),
        ({"train": {"drop_out": 0.5}}, "train.drop_out is not a parameter; did you mean train.dropout?"),
        ({"train": {"augment": {"flips": 1}}}, "train.augment.flips is not a parameter; did you mean train.augment"),
        ({"lr": 0.1}, "lr is not a parameter; did you mean train.lr?"),
        ({"score": {"zzz": 1}}, "score.zzz is not a parameter; known here: score.batch_size"),
        ({"quality": 0}, "quality must be 1..100, got 0"),
        ({"quality": 101}, "quality must be 1..100, got 101"),
        ({"quality": 77.5}, "quality must be a whole number, got 77.5"),
        ({"quality": "high"}, "quality must be a whole number, got 'high'"),
        ({"quality": True}, "quality must be a whole number, got true"),
        ({"quality": None}, "quality must be a whole number, got null"),
        ({"conditions": [77, 0]}, "conditions[1]: condition '0': step 'moz:0': Q must be 1..100, got 0"),
        ({"conditions": ["trubo:90"]}, "conditions[0]: condition 'trubo:90': unknown step 'trubo'"),
        ({"conditions": [77.5]}, "conditions[0]: a condition is text such as raw, 77 or"),
        ({"conditions": []}, "conditions must be a list of one or more values, got []"),
        ({"conditions": 77}, "conditions must be a list of one or more values, got 77"),
        ({"conditions": [77, 10, "moz:77"]}, 'conditions has a value twice: ["77", "10", "77"]'),
        ({"train": {"augment": {"conditions": ["webp:0"]}}}, "train.augment.conditions[0]: condition 'webp:0'"),
        ({"qualities": [77, 10]}, "qualities is now called conditions and lists raw too, as in conditions: [raw, 77"),
        ({"train": {"augment": {"jpeg": 1}}}, "train.augment.jpeg is now called train.augment.recompress"),
        (
            {"train": {"augment": {"jpeg_qualities": [7]}}},
            "train.augment.jpeg_qualities is now called train.augment.conditions",
        ),
        ({"train": {"lr": 0}}, "train.lr must be above 0, got 0.0"),
        ({"train": {"lr": "nan"}}, "train.lr must be a number, got 'nan'"),
        ({"train": {"lr": float("inf")}}, "train.lr must be a number, got inf"),
        ({"train": {"paired": "yes"}}, "train.paired must be true or false, got 'yes'"),
        ({"train": {"paired": 1}}, "train.paired must be true or false, got 1"),
        ({"train": {"select": "best_test"}}, "train.select must be one of last, best_val, got 'best_test'"),
        ({"train": {"threads": "all"}}, "train.threads must be a whole number, got 'all' (or 'auto')"),
        ({"train": {"threads": 0}}, "train.threads must be 1..512, got 0 (or 'auto')"),
        ({"train": 5}, "train must be a section of parameters, got 5"),
        ({"compress": {"subsampling": "4:2:2:0"}}, "compress.subsampling must be one of 4:4:4, 4:2:2, 4:2:0"),
        ({"compress": {"subsampling": 14520}}, "compress.subsampling must be text, got 14520 (or null)"),
        ({"faces": {"frames_per_second": -1}}, "faces.frames_per_second must be above 0 and at most 1000, got -1.0"),
        ({"faces": {"methods": ["Deepfakes", 3]}}, "faces.methods[1] must be text, got 3"),
        ({"model": ""}, "model must be text, got ''"),
    ],
)
def test_a_mistake_is_named_with_the_remedy(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_mapping(Params, given)
    assert message in text_of(error)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    for content, message in (
        ("quality: 0\n", "quality must be 1..100"),
        ("quality: [1\n", ", line 2, column 1: not readable as YAML: expected ',' or ']', but got '<stream end>'"),
        ("quality: 1\nquality: null\n", ", line 2, column 1: not readable as YAML: the key 'quality' occurs twice"),
        ("quality: \0\n", "not allowed at position 9"),
        ("- 1\n", "expected a mapping, got [1]"),
    ):
        path.write_text(content)
        with pytest.raises(ConfigError) as error:
            read_params(path)
        assert text_of(error).startswith(f"{path}, line " if message.startswith(", line") else f"{path}: ")
        assert message in text_of(error)
        assert "\n" not in text_of(error)


def test_encoder_options_leave_out_what_is_left_to_mozjpeg() -> None:
    assert CompressConfig().options() == {}
    assert CompressConfig(subsampling="4:4:4").options() == {"subsampling": "4:4:4"}


@pytest.mark.parametrize(
    "name",
    [
        "train.batch_size", "train.threads", "train.micro_batch", "train.steps", "train.checkpoint.keep",
        "train.multi_attention.num_attentions", "score.batch_size", "faces.frames_real", "faces.frames_fake",
        "faces.frames_per_second", "faces.size", "evaluate.replicates",
    ],
)  # fmt: skip
def test_settings_that_take_memory_or_time_have_an_upper_bound(name: str) -> None:
    values: Any = 2**40
    for key in reversed(name.split(".")):
        values = {key: values}
    with pytest.raises(ConfigError, match=rf"{name} must be .* got {2**40}"):
        from_mapping(Params, values)
