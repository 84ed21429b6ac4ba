"""Meso4 and MesoInception4 against the published definition: sizes, order of layers, Keras' arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from detector.models import build, names
from detector.models._area import area_average
from detector.models.meso import Meso4, MesoInception4, from_keras


@pytest.mark.parametrize(("name", "parameters"), [("meso4", 27_977), ("mesoinception4", 28_615)])
def test_parameters_are_as_many_as_the_papers(name, parameters):
    model = build(name)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", ["meso4", "mesoinception4"])
@pytest.mark.parametrize("size", [(32, 32), (128, 128), (224, 160), (256, 256)])
def test_any_input_size_gives_one_logit_per_image(name, size):
    assert build(name).eval()(torch.rand(2, 3, *size)).shape == (2,)


def test_an_image_too_small_to_pool_is_refused_by_its_size():
    with pytest.raises(ValueError, match="at least 32 x 32, got 31 x 64"):
        build("meso4")(torch.zeros(1, 3, 31, 64))


@pytest.mark.parametrize("options", [{"dropout": 1.0}, {"bn_momentum": 0.0}, {"conv_activation": "gelu"}])
def test_options_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Meso4(**options)


def test_batch_normalisation_comes_after_the_activation_with_keras_constants():
    for stage in Meso4().stages:
        (convolution, activation), norm, pool = stage
        assert isinstance(convolution, torch.nn.Conv2d)
        assert convolution.bias is not None
        assert isinstance(activation, torch.nn.ReLU)
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert (norm.eps, norm.momentum) == (1e-3, 0.01)
        assert isinstance(pool, torch.nn.MaxPool2d)
    assert [stage[2].kernel_size for stage in Meso4().stages] == [2, 2, 2, 4]
    assert Meso4(bn_momentum=0.1).stages[0][1].momentum == 0.1


def test_leaky_relu_stands_after_the_dense_layer_only_unless_asked_for():
    for model, slopes in ((Meso4(), [0.1]), (Meso4(conv_activation="leaky_relu"), [0.1] * 5)):
        assert [m.negative_slope for m in model.modules() if isinstance(m, torch.nn.LeakyReLU)] == slopes


def test_images_in_0_1_are_scaled_to_minus_1_1():
    model = Meso4().eval()
    raw = Meso4(mean=0.0, std=1.0).eval()
    raw.load_state_dict(model.state_dict())
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(model(x), raw(2 * x - 1))


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (8, 8), (12, 8), (16, 3), (1, 1), (17, 20)])
def test_averaging_to_cells_is_adaptive_average_pooling(size):
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close(area_average(x, (8, 8)), F.adaptive_avg_pool2d(x, 8))


def test_an_unknown_model_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown model 'meso5'; known models: .*meso4"):
        build("meso5")
    assert {"meso4", "mesoinception4"} <= set(names())


# -- the Keras definition in NumPy, channels last, for synthetic weights


def conv(x, layer, dilation=1):
    """Keras Conv2D, "same", ReLU: x (H, W, C), kernel (h, w, C, out)."""
    kernel, bias = layer
    size = dilation * (kernel.shape[0] - 1) + 1
    padded = np.pad(x, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))[..., ::dilation, ::dilation]
    return np.maximum(np.einsum("hwcij,ijco->hwo", windows, kernel, optimize=True) + bias, 0)


def norm(x, layer):
    gamma, beta, mean, variance = layer
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def pool(x, n):
    return x.reshape(x.shape[0] // n, n, x.shape[1] // n, n, -1).max((1, 3))


def head(x, weights):
    x = x.reshape(-1) @ weights["dense_1"][0] + weights["dense_1"][1]  # Keras flattens H, W, C
    x = np.where(x > 0, x, 0.1 * x) @ weights["dense_2"][0] + weights["dense_2"][1]
    return x[0]  # the logit of P(real)


def keras_meso4(x, w):
    for i, n in zip(range(1, 5), (2, 2, 2, 4), strict=True):
        x = pool(norm(conv(x, w[f"conv2d_{i}"]), w[f"batch_normalization_{i}"]), n)
    return head(x, w)


def keras_mesoinception4(x, w):
    c = {i: w[f"conv2d_{i}"] for i in range(1, 17)}
    for block, first in ((1, 1), (2, 8)):
        x = np.concatenate(
            [
                conv(x, c[first]),
                conv(conv(x, c[first + 1]), c[first + 2]),
                conv(conv(x, c[first + 3]), c[first + 4], dilation=2),
                conv(conv(x, c[first + 5]), c[first + 6], dilation=3),
            ],
            axis=-1,
        )
        x = pool(norm(x, w[f"batch_normalization_{block}"]), 2)
    x = pool(norm(conv(x, c[15]), w["batch_normalization_3"]), 2)
    x = pool(norm(conv(x, c[16]), w["batch_normalization_4"]), 4)
    return head(x, w)


def synthetic(convolutions, norms):
    """Weights in the layout of the authors' files: convolutions (h, w, in, out), norms (channels,)."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)

    weights = {f"conv2d_{i}": [draw(*shape), draw(1, shape[-1])[0]] for i, shape in enumerate(convolutions, 1)}
    for i, n in enumerate(norms, 1):
        positive = rng.uniform(0.5, 1.5, (2, n)).astype(np.float32)
        weights[f"batch_normalization_{i}"] = [positive[0], draw(1, n)[0], draw(1, n)[0], positive[1]]
    weights["dense_1"] = [draw(1024, 16), draw(1, 16)[0]]
    weights["dense_2"] = [draw(16, 1), draw(1, 1)[0]]
    weights["max_pooling2d_1"] = []
    return weights


MESO4 = synthetic([(3, 3, 3, 8), (5, 5, 8, 8), (5, 5, 8, 16), (5, 5, 16, 16)], [8, 8, 16, 16])
MESOINCEPTION4 = synthetic(
    [
        *[(1, 1, 3, 1), (1, 1, 3, 4), (3, 3, 4, 4), (1, 1, 3, 4), (3, 3, 4, 4), (1, 1, 3, 2), (3, 3, 2, 2)],
        *[(1, 1, 11, 2), (1, 1, 11, 4), (3, 3, 4, 4), (1, 1, 11, 4), (3, 3, 4, 4), (1, 1, 11, 2), (3, 3, 2, 2)],
        *[(5, 5, 12, 16), (5, 5, 16, 16)],
    ],
    [11, 12, 16, 16],
)


@pytest.mark.parametrize(
    ("kind", "weights", "reference"),
    [(Meso4, MESO4, keras_meso4), (MesoInception4, MESOINCEPTION4, keras_mesoinception4)],
)
def test_keras_weights_give_keras_answer_with_the_sign_turned(kind, weights, reference):
    model = kind(mean=0, std=1).eval()
    from_keras(model, weights)
    image = np.random.default_rng(1).random((256, 256, 3), dtype=np.float32)
    logit = model(torch.from_numpy(image).permute(2, 0, 1)[None]).item()
    assert logit == pytest.approx(-reference(image.astype(np.float64), weights), rel=1e-4, abs=1e-5)


def test_keras_layers_are_taken_in_the_order_of_their_numbers():
    # a tenth layer must not come before the second
    renamed = {name.replace("conv2d_", "conv2d_1" if name[-1] == "4" else "conv2d_"): w for name, w in MESO4.items()}
    assert "conv2d_14" in renamed
    one, other = Meso4(mean=0, std=1), Meso4(mean=0, std=1)
    from_keras(one, MESO4)
    from_keras(other, renamed)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_keras_weights_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="mean=0, std=1"):
        from_keras(Meso4(), MESO4)
    with pytest.raises(ValueError, match="the model has 4 conv2d layers, the Keras weights 16"):
        from_keras(Meso4(mean=0, std=1), MESOINCEPTION4)
    wrong = {**MESO4, "conv2d_3": [MESO4["conv2d_3"][0][..., :9], MESO4["conv2d_3"][1][:9]]}
    with pytest.raises(ValueError, match="conv2d_3: weight has shape"):
        from_keras(Meso4(mean=0, std=1), wrong)
