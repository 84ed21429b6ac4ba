"""Tables are complete: each entry has what every user of the table needs, and a new entry works with all of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from detector import config
from detector.cli import cli
from detector.config import AugmentConfig, FacesConfig, MesoConfig, MultiAttentionConfig, Params, TrainConfig
from detector.data import deepfakebench, detection, layout, readers
from detector.data.faces import crop_frames, make_faces
from detector.data.found_face import FoundFace
from detector.data.index import Face, read_index
from detector.data.pack import pack_deepfakebench
from detector.errors import ConfigError, DataError
from detector.export import export
from detector.loading import augment
from detector.models import MODELS, Model, build
from detector.models.settings import settings
from detector.training.trainer import train

SECTIONS = {field.name for field in dataclasses.fields(TrainConfig) if dataclasses.is_dataclass(field.default_factory)}


# -- models ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_what_its_users_need(name: str) -> None:
    model = MODELS[name]
    assert set(model.sections) <= SECTIONS
    assert model.size >= 32
    assert model.starts_from in ("file", "folder")
    if model.pretrained is not None:
        section, key = model.pretrained.split(".")
        assert section in model.sections
        assert hasattr(getattr(TrainConfig(), section), key)


def _builder(name: str) -> Any:
    """Return the function that builds the model *name*; EfficientNets share one, with their name as its argument."""
    return getattr(MODELS[name].builder, "func", MODELS[name].builder)


# one model of each builder, and one of each generation of EfficientNets
FAMILIES = {(_builder(name), "v2" in name): name for name in reversed(MODELS)}.values()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_built_from_the_default_settings_and_has_its_feature_maps(name: str) -> None:
    with torch.device("meta"):
        model = build(name, **settings(Params(model=name)))
        seen: list[Tensor] = []
        model.get_submodule(MODELS[name].feature_maps).register_forward_hook(lambda *call: seen.append(call[2]))
        logits = model.eval()(torch.empty(2, 3, 64, 64))
    assert logits.shape == (2,)
    assert seen[0].dim() == 4
    assert any(isinstance(module, nn.Linear) for module in model.modules())  # `explain` reads what the last one sees


class Dummy(nn.Module):
    """The least that a model is: a convolution, an average, a linear layer."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, stride=4)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(4, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.dropout(self.convolution(images - 0.5).relu().mean((2, 3)))).squeeze(1)
        return logits


def test_a_new_model_needs_its_row_only(
    packed_crops: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through training, its card, describe, score, explain and export."""
    monkeypatch.setitem(MODELS, "dummy", Model(Dummy, sections=(), size=48, feature_maps="convolution"))
    (tmp_path / "params.yaml").write_text(
        "model: dummy\nconditions: [raw, 30]\n"
        "train: {steps: 4, batch_size: 8, eval_every: 2, log_every: 2, conditions: [raw]}\n"
    )
    crops, faces, out = packed_crops["compressed"], packed_crops["faces"], tmp_path / "train"
    params = config.read_params(tmp_path / "params.yaml")
    assert settings(params) == {"dropout": 0.1}
    train(params, crops, out, tmp_path / "history.csv", tmp_path / "checkpoints", lossless=faces)
    card = json.loads((out / "model.json").read_text())
    assert (card["model"], [*card["thresholds"]]) == ("dummy", ["raw"])
    assert (out / "model_card.md").read_text().startswith("# dummy, trained on")

    def run(*arguments: str | Path) -> str:
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "convolution" in run("describe", "dummy")
    run("score", faces, out, tmp_path / "scores.csv", "--params", tmp_path / "params.yaml")
    run("explain", faces, out, tmp_path / "explain", "--params", tmp_path / "params.yaml")
    assert np.load(tmp_path / "explain" / "features.npy").shape[1] == 4
    assert export(out, tmp_path / "dummy.pt2") < 1e-5
    for other in MODELS.keys() - {"dummy", *FAMILIES}:  # measuring all EfficientNets takes seconds
        monkeypatch.delitem(MODELS, other)
    assert "dummy" in run("describe")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            Params(model="efficientnet_b0", train=TrainConfig(meso=MesoConfig(conv_activation="leaky_relu"))),
            r"train\.meso\.conv_activation is 'leaky_relu', but model efficientnet_b0 has no such setting; set it back "
            r"to its default, 'relu', or choose a model that has it: meso4, mesoinception4",
        ),
        (
            Params(train=TrainConfig(multi_attention=MultiAttentionConfig(num_attentions=8))),
            r"train\.multi_attention\.num_attentions is 8, but model meso4",
        ),
        (
            Params(train=TrainConfig(efficientnet=config.EfficientNetConfig(pretrained=True))),
            r"train\.efficientnet\.pretrained is true, but model meso4",
        ),
    ],
)
def test_a_setting_of_another_model_is_refused(params: Params, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(params)


@pytest.mark.parametrize("name", MODELS)
def test_the_committed_parameters_work_with_every_model(name: str) -> None:
    params = config.read_params(Path(__file__).resolve().parents[2] / "params.yaml")
    assert settings(dataclasses.replace(params, model=name))["dropout"] == 0.1


def test_what_params_give_to_multi_attention_has_the_values_of_both_its_sections() -> None:
    recipe = TrainConfig(efficientnet=config.EfficientNetConfig(True, 0.4))
    given = settings(Params(model="multi_attention", train=recipe))
    assert (given["pretrained"], given["drop_path"], given["num_attentions"]) == (True, 0.4, 4)


# -- augmentations -----------------------------------------------------------------------------------------------------

OFF = dict.fromkeys(("flip", "rotate", "scale", "blur", "contrast", "brightness", "color", "recompress"), 0.0)
BATCH = torch.randint(0, 256, (8, 24, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_every_setting_and_every_column_belongs_to_one_augmentation() -> None:
    rows = augment.AUGMENTATIONS.values()
    fields = [field.name for field in dataclasses.fields(AugmentConfig)]
    assert sorted(name for row in rows for name in row.settings) == sorted(fields)
    assert sorted(column for row in rows for column in row.columns) == list(range(augment.SLOTS))


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_every_augmentation_follows_its_settings_and_its_columns_only(name: str) -> None:
    row = augment.AUGMENTATIONS[name]
    if row.apply is None:
        return  # tests/detector/test_loading_augment.py
    draws = augment.draw(1, 2, np.arange(8))
    plain = augment.augment(BATCH, draws, AugmentConfig(**OFF))
    torch.testing.assert_close(plain, augment.to_float(BATCH))
    for setting in row.settings:
        config = AugmentConfig(**{**OFF, setting: 0.5})
        changed = augment.augment(BATCH, draws, config)
        assert not torch.equal(changed, plain), setting
        others = draws.clone()
        others[:, [column for column in range(augment.SLOTS) if column not in row.columns]] = 0.9
        assert torch.equal(augment.augment(BATCH, others, config), changed), setting


def test_a_new_augmentation_needs_its_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    invert = augment.Augmentation((), (), lambda x, _draws, _config: 255 - x)
    monkeypatch.setattr(augment, "AUGMENTATIONS", {"invert": invert, **augment.AUGMENTATIONS})
    draws = augment.draw(1, 2, np.arange(8))
    expected = 1 - augment.to_float(BATCH)
    torch.testing.assert_close(augment.augment(BATCH, draws, AugmentConfig(**OFF)), expected, rtol=0, atol=1e-6)


# -- face detectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", detection.DETECTORS)
def test_every_face_detector_has_what_its_users_need(name: str) -> None:
    row = detection.DETECTORS[name]
    settings_of_faces = get_type_hints(FacesConfig)
    if row.weights is None:
        detector = row.build(None)
        assert detector.eyes_at.shape == (2, 2)
        black = np.zeros((96, 96, 3), np.uint8)
        assert detector.find(black) is None
        assert detector.find_all(black) == []
        assert detector.certainty(black) == 0
        assert detector.surer >= 0
    else:
        assert type(None) in get_args(settings_of_faces[row.weights])
        assert row.digest is not None
        with pytest.raises(ConfigError, match=f"faces.{row.weights}"):
            row.build(None)
    assert row.stand_in is None or detection.DETECTORS[row.stand_in].works()
    guide = (Path(__file__).resolve().parents[2] / "docs/faceforensics.md").read_text(encoding="utf-8")
    assert f"\n| `{name}` " in guide  # the table of face detectors


def test_the_choices_of_the_parameter_are_the_table() -> None:
    (field,) = (field for field in dataclasses.fields(FacesConfig) if field.name == "detector")
    assert sorted(field.metadata["choices"]) == sorted(["auto", *detection.DETECTORS])
    assert sorted(detection.BEST) == sorted(detection.DETECTORS)


def test_weights_that_a_face_detector_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"faces\.yunet_model is 'a\.onnx', but faces\.detector lbp does not use"):
        detection.configured(FacesConfig(detector="lbp", yunet_model="a.onnx"))


class Middle:
    """A face detector that takes the middle of every image for a face."""

    name = "middle"
    eyes_at = np.array([[0.3, 0.4], [0.7, 0.4]])
    surer = 1.0

    def find(self, image: np.ndarray, near: Any = None, sure: bool = False) -> FoundFace:  # noqa: ARG002
        height, width = image.shape[:2]
        return FoundFace((width // 4, height // 4, 3 * width // 4, 3 * height // 4))


def test_a_new_face_detector_needs_its_row_only(small_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detection.DETECTORS, "middle", detection.FaceDetector(lambda _: Middle()))
    config = FacesConfig(methods=("FaceSwap",), size=32, frames_real=3, detector="middle")
    assert detection.weights_digest(config) == {}
    clip = layout.find_clips(small_tree, "c23", config.methods).clips[0]
    cropped = crop_frames(clip, config)
    assert (len(cropped.cuts), cropped.failures) == (3, [])
    assert {cut.face.found for cut in cropped.cuts} == {"none"}


# -- forms of data -----------------------------------------------------------------------------------------------------


def test_every_reader_recognises_its_form_and_the_first_one_reads(small_tree: Path, tmp_path: Path) -> None:
    assert readers.reader_of(small_tree) == "faceforensics"
    (tmp_path / "real").mkdir()
    assert readers.reader_of(tmp_path) == "folders"
    (tmp_path / "manifest.csv").write_text("path,label\n")
    assert readers.reader_of(tmp_path) == "manifest"
    assert all(reader.help for reader in readers.READERS.values())


@pytest.mark.parametrize("name", readers.READERS)
def test_every_reader_is_in_the_documentation_and_leaves_other_folders_alone(name: str, tmp_path: Path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs/faceforensics.md").read_text(encoding="utf-8")
    table = guide.partition("\n| layout ")[2].partition("\n\n")[0].lower().replace("-", "")
    assert name in " ".join(row.split("|")[1] for row in table.splitlines()[2:])  # the first column
    assert not readers.READERS[name].recognises(tmp_path)


def test_a_new_form_of_data_needs_its_row_only(
    small_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips of a list of our own, in place of FaceForensics++'s folders and splits."""

    def read(root: Path, _config: FacesConfig) -> layout.Tree:
        names = [line.split() for line in (root / "list.txt").read_text().splitlines()]
        return layout.Tree(
            tuple(
                layout.Clip(root / path, None, "own", method, Path(path).stem, Path(path).stem, Path(path).stem, "test")
                for path, method in names
            ),
            (),
        )

    own = readers.Reader("list.txt", lambda root: (root / "list.txt").is_file(), read)
    monkeypatch.setattr(readers, "READERS", {"own": own, **readers.READERS})
    videos = tmp_path / "own"
    videos.mkdir()
    for name, method in (("000", "original"), ("002", "Swapped")):
        source = small_tree / f"original_sequences/youtube/c23/videos/{name}.mp4"
        (videos / f"{name}.mp4").write_bytes(source.read_bytes())
        with (videos / "list.txt").open("a") as file:
            file.write(f"{name}.mp4 {method}\n")
    make_faces(videos, tmp_path / "faces", FacesConfig(size=32, frames_real=2, frames_fake=2), executor="serial")
    assert {face.method for face in read_index(tmp_path / "faces")} == {"original", "Swapped"}


def face(method: str) -> Face:
    name = "000" if method == "original" else "000_001"
    key = f"c23/{method}/{name}/0000"
    return Face(key, f"{method}/{name}", "c23", 0, method, "000", "000_001", "test", int(method != "original"),
                "faces-000.tar", 512, 1, "00000000")  # fmt: skip


@pytest.mark.parametrize("method", layout.METHODS)
def test_every_method_has_a_label_and_a_dataset_file(method: str, tmp_path: Path) -> None:
    row = layout.METHODS[method]
    assert row.label in deepfakebench.DATASETS[row.file]
    assert sum(other.label == row.label for other in layout.METHODS.values()) == 1
    real = "01__kitchen_pan" if row.acted else "000"
    original = dataclasses.replace(face("original"), video=f"original/{real}")
    written = deepfakebench.write_deepfakebench(tmp_path, [original, face(method)])
    assert row.file in {path.stem for path in written}
    (listed,) = (v for v in deepfakebench.read_deepfakebench(tmp_path / f"{row.file}.json") if v.label == row.label)
    assert listed.name == "000_001"


def test_an_unknown_method_is_listed_as_given_and_reads_back(tmp_path: Path) -> None:
    assert deepfakebench.label_of(face("Invented")) == "Given_Invented"
    (path,) = deepfakebench.write_deepfakebench(tmp_path, [face("Invented")])
    assert path.stem == "Given"
    with pytest.raises(DataError, match="none of its 1 crops can be read"):  # its label is understood
        pack_deepfakebench(path, tmp_path / "out")
