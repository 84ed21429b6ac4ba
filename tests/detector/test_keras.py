"""Official MesoNet weights: files in Keras' layout give the answers of Keras' arithmetic, worked in NumPy."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from detector import cli
from detector.answer.examine import Examiner, Options
from detector.config import MesoConfig, Params, TrainConfig
from detector.errors import ConfigError, DataError, DetectorError
from detector.keras import convert, read_keras
from detector.models import build
from detector.models.settings import settings
from detector.weights import load_model, load_start

RNG = np.random.default_rng(3)
CPU = torch.device("cpu")


def draw(*shape):
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def constant_layers(kernels):
    """Weights of a Meso4 of which one number can be worked out by hand: every kernel is 0 but for its centre.

    *kernels* are (size, in, out). A convolution gives its bias + x of channel 0 in every channel.
    """
    layers = {}
    for i, (size, channels, out) in enumerate(kernels, 1):
        kernel = np.zeros((size, size, channels, out), np.float32)
        kernel[size // 2, size // 2, 0] = 1
        layers[f"conv2d_{i}"] = {"kernel": kernel, "bias": np.full(out, 0.25, np.float32)}
        layers[f"batch_normalization_{i}"] = {
            "gamma": np.full(out, 2.0, np.float32),
            "beta": np.full(out, -0.5, np.float32),
            "moving_mean": np.full(out, 0.5, np.float32),
            "moving_variance": np.full(out, 4 - 1e-3, np.float32),  # with Keras' epsilon, 4
        }
    layers["dense_1"] = {"kernel": np.zeros((1024, 16), np.float32), "bias": np.full(16, -3.0, np.float32)}
    layers["dense_1"]["kernel"][0] = 1  # the top left cell of channel 0
    layers["dense_2"] = {"kernel": np.full((16, 1), 0.5, np.float32), "bias": np.array([0.125], np.float32)}
    return layers


MESO4 = constant_layers([(3, 3, 8), (5, 8, 8), (5, 8, 16), (5, 16, 16)])


def write(path, layers, *, whole_model=False, cut=False):
    """Write *layers* as Keras 2's ``save_weights`` does, with layers that have no arrays in between."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        names = ["input_1", *layers, "flatten_1"]
        encoded = np.array([name.encode() for name in names])
        if cut:  # what Keras does with attributes beyond HDF5's 64 kB
            root.attrs["layer_names0"], root.attrs["layer_names1"] = encoded[:5], encoded[5:]
        else:
            root.attrs["layer_names"] = encoded
        root.attrs["keras_version"] = b"2.1.5"
        for name in names:
            group = root.create_group(name)
            arrays = layers.get(name, {})
            group.attrs["weight_names"] = np.array([f"{name}/{key}:0".encode() for key in arrays])
            for key, array in arrays.items():
                group[f"{name}/{key}:0"] = array
    return path


@pytest.mark.parametrize("options", [{}, {"whole_model": True}, {"cut": True}])
def test_a_file_of_keras_gives_the_score_worked_by_hand(tmp_path, options):
    folder = tmp_path / "out"
    convert("meso4", write(tmp_path / "Meso4_DF.h5", MESO4, **options), folder)
    model, card = load_model(folder, CPU)
    red = 0.75
    image = torch.full((1, 3, 256, 256), 0.1)
    image[:, 0] = red
    # a stage: x + bias, ReLU, (x - mean) / sqrt(variance + eps) * gamma + beta; every pixel is the same
    x = red
    for _ in range(4):
        x = max(x + 0.25, 0) - 0.5 - 0.5
    dense = x - 3.0
    p_real = 16 * 0.5 * (dense if dense > 0 else 0.1 * dense) + 0.125
    assert model(image).item() == pytest.approx(-p_real, rel=1e-5)  # P(fake) is 1 - P(real)
    assert (card.model, card.height, [*card.inputs]) == ("meso4", 256, ["Meso4_DF.h5"])


def test_arrays_come_by_layer_in_keras_order(tmp_path):
    found = read_keras(write(tmp_path / "a.h5", MESO4))
    assert [len(found[name]) for name in ("input_1", "conv2d_1", "batch_normalization_1", "dense_2")] == [0, 2, 4, 2]
    np.testing.assert_array_equal(found["batch_normalization_2"][2], MESO4["batch_normalization_2"]["moving_mean"])


def test_a_file_that_is_not_the_models_is_named(tmp_path):
    path = write(tmp_path / "a.h5", MESO4)
    with pytest.raises(DataError, match=r"a.h5: not the weights of mesoinception4: the model has 16 conv2d layers"):
        convert("mesoinception4", path, tmp_path / "out")
    path.write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"a.h5: not a Keras weights file"):
        convert("meso4", path, tmp_path / "out")
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = draw(3)  # Keras 3
    with pytest.raises(DataError, match=r"a.h5: not a Keras weights file .*no attribute layer_names"):
        convert("meso4", path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_h5py_the_remedy_is_reported(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", MESO4)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(DetectorError, match=r"a.h5 needs h5py, which is not installed: pip install 'detector\[keras"):
        convert("meso4", path, tmp_path / "out")


def test_the_command_writes_what_training_goes_on_from(tmp_path):
    path, out = write(tmp_path / "Meso4_DF.h5", MESO4), tmp_path / "out"
    result = CliRunner().invoke(cli.cli, ["convert-keras", "meso4", str(path), str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in out.iterdir()) == ["model.json", "weights.safetensors"]
    assert json.loads((out / "model.json").read_text())["options"]["std"] == 1

    params = Params(train=TrainConfig(meso=MesoConfig(pretrained=str(out))))
    options = settings(params)
    assert (options["mean"], options["std"], options["bn_momentum"]) == (0, 1, 0.1)  # its input is [0, 1] from now on
    model = build("meso4", **options)
    load_start(model, params)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(model.eval()(images), load_model(out, CPU)[0](images))
    with pytest.raises(DataError, match="holds a meso4, not a mesoinception4"):
        settings(Params(model="mesoinception4", train=params.train))
    with pytest.raises(ConfigError, match="conv_activation must be relu"):
        settings(Params(train=TrainConfig(meso=MesoConfig(pretrained=str(out), conv_activation="leaky_relu"))))
    with pytest.raises(DataError, match=r"nowhere/model.json: no such file"):
        settings(Params(train=TrainConfig(meso=MesoConfig(pretrained="nowhere"))))


# P(fake) = 1 - the output of Keras 3.15.1 (PyTorch backend) for the authors' four images, with their classifiers.py and
# the reader of their example.py: ImageDataGenerator(rescale=1/255), 256 x 256, whose default is the nearest pixel
IMAGES = ("df/df00204.jpg", "df/df01254.jpg", "real/real00240.jpg", "real/real00772.jpg")
OFFICIAL = {
    "Meso4_DF": (
        "meso4",
        "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5",
        (0.9585882, 0.9513063, 0.0102525, 0.0022984),
    ),
    "Meso4_F2F": (
        "meso4",
        "bcfda015d217b9f8d6557693edbdf9f4e79cfd22672541968dd0e2954462b5d7",
        (0.1687626, 0.3589002, 0.1189764, 0.0475613),
    ),
    "MesoInception_DF": (
        "mesoinception4",
        "234586d40058e76ef8b6f27ca4b63c06e31c2a5a69c0d8ba6f30b1468ab7bafa",
        (0.9737820, 0.9990481, 0.0000000, 0.0000000),
    ),
    "MesoInception_F2F": (
        "mesoinception4",
        "d4533ac8a3197dc35c47405d23d99e888c1d0135e267e03540c7451feaccff3f",
        (0.0012569, 0.0000026, 0.0000000, 0.0091697),
    ),
}


@pytest.fixture(scope="module")
def official():
    """Return a folder with the files of https://github.com/DariusAf/MesoNet, which are not part of this repository."""
    if given := os.environ.get("MESONET"):
        return Path(given)
    pytest.skip("the official weights and images: set MESONET to a checkout of github.com/DariusAf/MesoNet")


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_weights_give_the_authors_outputs_on_their_images(official, tmp_path, name):
    model, digest, expected = OFFICIAL[name]
    file = official / "weights" / f"{name}.h5"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    convert(model, file, tmp_path / "out")
    files = [official / "test_images" / image for image in IMAGES]  # of 342, 264, 256 and 208 pixels
    examiner = Examiner(tmp_path / "out", Params(), Options(aligned=True))
    answers = [examiner.examine(file).answer for file in files]
    np.testing.assert_allclose([answer.faces[0].score.value for answer in answers], expected, atol=1e-4)
    # these weights have no calibration
    assert {answer.verdict for answer in answers} == {"inconclusive"}
