"""Accepted forms of a JPEG, an image or a target: paths, files, tensors, Pillow's images."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import mozcodec
from mozcodec import forensics

READERS = {
    "decode": mozcodec.decode,
    "read_header": mozcodec.read_header,
    "inspect": mozcodec.inspect,
    "pictures": mozcodec.pictures,
    "read_coefficients": mozcodec.read_coefficients,
    "coefficient_histograms": mozcodec.coefficient_histograms,
    "optimize": mozcodec.optimize,
    "transform": lambda data: mozcodec.transform(data, "flip_horizontal"),
    "edit_metadata": lambda data: mozcodec.edit_metadata(data, comment="x"),
    "identify": forensics.identify,
    "estimate_quality": forensics.estimate_quality,
    "decode_batch": lambda data: mozcodec.decode_batch([data]),
    "decode_many": lambda data: next(mozcodec.decode_many([data])),
}


def same(a: object, b: object) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.fixture(scope="module")
def data(small) -> bytes:
    return mozcodec.encode(small, 90, profile="fastest", progressive=False)


@pytest.mark.parametrize("name", READERS)
def test_every_verb_takes_paths_files_and_tensors(name, data, tmp_path):
    read, path = READERS[name], tmp_path / "a photo.jpg"
    path.write_bytes(data)
    expected = read(data)
    for source in (path, str(path), torch.frombuffer(bytearray(data), dtype=torch.uint8), io.BytesIO(data)):
        assert same(read(source), expected), type(source)
    with path.open("rb") as file:
        assert same(read(file), expected)


def test_a_source_that_is_not_a_jpeg_says_what_to_pass(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        mozcodec.decode(tmp_path / "none.jpg")
    with pytest.raises(TypeError, match="mode 'rb'"):
        mozcodec.decode(io.StringIO("text"))
    with pytest.raises(TypeError, match="uint8 of one dimension, got int64"):
        mozcodec.decode(torch.zeros(9, dtype=torch.int64))
    with pytest.raises(TypeError, match="a path or an open file, got int"):
        mozcodec.decode(7)


class OnlyDlpack:
    """The methods that DLPack requires, and no others."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_pixels_may_be_tensors_and_dlpack_objects(small):
    expected = mozcodec.encode(small, 77)
    tensor = torch.from_numpy(small.copy())
    for image in (tensor, OnlyDlpack(small), tensor.permute(2, 0, 1).permute(1, 2, 0)):
        assert mozcodec.encode(image, 77) == expected
    assert mozcodec.encode(tensor.permute(2, 0, 1), 77, layout="chw") == expected
    assert mozcodec.Encoder(77, layout="chw").encode(tensor.permute(2, 0, 1)) == expected
    assert next(mozcodec.encode_many([tensor.permute(2, 0, 1)], 77, layout="chw")) == expected
    assert next(mozcodec.sweep(tensor.permute(2, 0, 1), [77], layout="chw")).data == expected
    found = mozcodec.encode_to_target(tensor.permute(2, 0, 1), layout="chw", bytes=len(expected))
    assert found == mozcodec.encode_to_target(small, bytes=len(expected))
    scaled = mozcodec.encode_scaled(tensor.permute(2, 0, 1), 77, dct_size=16, layout="chw")
    assert scaled == mozcodec.encode_scaled(small, 77, dct_size=16)
    perceptual = mozcodec.encode(tensor.permute(2, 0, 1), distance=2, effort=0, layout="chw")
    assert perceptual == mozcodec.encode(small, distance=2, effort=0)


def test_wrong_pixels_get_a_hint(small):
    with pytest.raises(ValueError, match="layout='chw'"):
        mozcodec.encode(small.transpose(2, 0, 1))
    with pytest.raises(TypeError, match=r"got int64; nested lists .* np\.asarray\(image, 'uint8'\)"):
        mozcodec.encode(small.tolist())
    with pytest.raises(TypeError, match=r"got float32; of 0\.\.1"):
        mozcodec.encode(torch.zeros(8, 8, 3))
    for device in (
        SimpleNamespace(__cuda_array_interface__={}),
        SimpleNamespace(__dlpack__=None, __dlpack_device__=lambda: (2, 0)),
    ):
        with pytest.raises(TypeError, match=r"\.cpu\(\)"):
            mozcodec.encode(device)
        with pytest.raises(TypeError, match=r"\.cpu\(\)"):
            mozcodec.decode(device)
    with pytest.raises(TypeError, match="a plane must be an array, got None"):
        mozcodec.encode((small[..., 0], None, small[..., 2]), pixel_format="planes")
    with pytest.raises(ValueError, match="layout must be 'hwc' or 'chw'"):
        mozcodec.encode(small, layout="nchw")


def test_out_may_be_a_tensor(small, data):
    expected = mozcodec.decode(data)
    out = torch.zeros(*expected.shape, dtype=torch.uint8)
    assert mozcodec.decode(data, out=out) is out
    np.testing.assert_array_equal(out.numpy(), expected)
    first = torch.zeros(3, *expected.shape[:2], dtype=torch.uint8)
    assert mozcodec.decode(data, out=first, layout="chw") is first
    np.testing.assert_array_equal(first.permute(1, 2, 0).numpy(), expected)
    batch = torch.zeros(2, 3, *expected.shape[:2], dtype=torch.uint8)
    assert mozcodec.decode_batch([data, data], out=batch, layout="chw") is batch
    np.testing.assert_array_equal(batch[1].permute(1, 2, 0).numpy(), expected)
    assert mozcodec.decode(data, "gray", layout="chw").shape == (1, *expected.shape[:2])
    assert mozcodec.decode_batch([data], layout="chw").flags.c_contiguous
    with pytest.raises(ValueError, match=r"out must have shape \(3, 48, 64\)"):
        mozcodec.decode(data, out=out, layout="chw")
    file = torch.zeros(100_000, dtype=torch.uint8)
    written = mozcodec.encode(small, 90, out=file)
    assert bytes(written) == bytes(file[: len(written)].numpy()) == mozcodec.encode(small, 90)


# ---- Pillow's images ------------------------------------------------------------------------------------------------


def by_pillow(image: Image.Image) -> np.ndarray:
    """Return the pixels of the same JPEG by Pillow: with all table entries 1, they are near the image's."""
    out = io.BytesIO()
    image.save(out, "JPEG", qtables=[[1] * 64] * 2, subsampling=0)
    with Image.open(io.BytesIO(out.getvalue())) as opened:
        return np.asarray(opened)


def by_us(image: Image.Image, **options) -> np.ndarray:
    data = mozcodec.encode(image, None, quant_tables=[np.ones((8, 8), int)] * 2, subsampling="4:4:4", **options)
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBX", "CMYK", "YCbCr"])
def test_images_of_pillow_come_out_as_pillow_writes_them(mode, small):
    image = Image.fromarray(small).convert(mode)
    ours, theirs = by_us(image), by_pillow(image)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 3


@pytest.mark.parametrize("mode", ["P", "HSV"])
def test_modes_that_pillow_converts_are_converted(mode, small):
    image = Image.fromarray(small).convert(mode)
    assert mozcodec.encode(image, 90) == mozcodec.encode(np.asarray(image.convert("RGB")), 90)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_alpha_needs_a_background_and_mixes_as_pillow_does(mode, small):
    alpha = np.arange(small.shape[0] * small.shape[1], dtype=np.uint32).reshape(small.shape[:2]).astype(np.uint8)
    image = Image.fromarray(np.dstack([small, alpha]))
    image = image.convert("LA").convert(mode) if mode in ("PA", "La") else image.convert(mode)
    with pytest.raises(ValueError, match=f"mode {mode} has alpha"):
        mozcodec.encode(image)
    whole = image.convert("LA").convert("RGBA") if mode == "La" else image.convert("RGBA")
    pasted = Image.new("RGB", image.size, (10, 200, 30))
    pasted.paste(whole, mask=whole.getchannel("A"))
    assert mozcodec.encode(image, 77, background=(10, 200, 30)) == mozcodec.encode(np.asarray(pasted), 77)


def test_arrays_with_alpha_take_a_background_too(small):
    pixels = np.dstack([small[..., ::-1], small[..., 0]])
    rgba = Image.fromarray(np.ascontiguousarray(pixels[..., [2, 1, 0, 3]]))
    pasted = Image.new("RGB", rgba.size, (255, 255, 255))
    pasted.paste(rgba, mask=rgba.getchannel("A"))
    expected = mozcodec.encode(np.asarray(pasted), 77)
    assert mozcodec.encode(pixels, 77, pixel_format="bgra", background=255) == expected
    with pytest.raises(ValueError, match="background needs alpha"):
        mozcodec.encode(small, background=255)
    with pytest.raises(ValueError, match="background must be a level"):
        mozcodec.encode(pixels, pixel_format="bgra", background=(1, 2))


def test_a_palette_with_transparency_needs_a_background(small):
    image = Image.fromarray(small).convert("P")
    image.info["transparency"] = 0
    with pytest.raises(ValueError, match="has alpha"):
        mozcodec.encode(image)
    assert mozcodec.read_header(mozcodec.encode(image, background=255)).color_space == "ycbcr"


@pytest.mark.parametrize("mode", ["LAB", "I", "I;16", "F"])
def test_other_modes_are_refused_by_name(mode):
    image = Image.new(mode, (8, 8))
    with pytest.raises(TypeError, match=f"mode {mode} "):
        mozcodec.encode(image)


def test_the_pixel_format_of_an_image_is_its_own(small):
    image = Image.fromarray(small)
    assert mozcodec.encode(image, 77, pixel_format="rgb") == mozcodec.encode(small, 77)
    with pytest.raises(ValueError, match="an image of mode RGB is 'rgb'"):
        mozcodec.encode(image, 77, pixel_format="bgr")
    assert mozcodec.encode(image, distance=2, effort=0) == mozcodec.encode(small, distance=2, effort=0)
    assert next(mozcodec.sweep(image, [50])).data == mozcodec.encode(small, 50)
    assert mozcodec.encode_to_target(image, psnr=30) == mozcodec.encode_to_target(small, psnr=30)


def test_neither_torch_nor_pillow_is_imported():
    code = "import mozcodec, sys; sys.exit(bool({'torch', 'PIL'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- options and colours --------------------------------------------------------------------------------------------


def test_a_sweep_writes_metadata(small):
    exif = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
    given = {"comment": "made by a test", "exif": exif, "xmp": b"<x/>", "icc_profile": b"p" * 99}
    points = list(mozcodec.sweep(small, [60, 77], scales=(8, 16), **given))
    assert points[1].data == mozcodec.encode(small, 77, **given)
    assert points[3].data == mozcodec.encode_scaled(small, 77, dct_size=16, **given)
    (point,) = mozcodec.sweep(small, distances=[2], effort=0, **given)
    assert point.data == mozcodec.encode(small, distance=2, effort=0, **given)


def test_options_take_the_names_and_shapes_that_people_have(small):
    data = mozcodec.encode(small, (60, 85), subsampling="4:2:0")
    tables = mozcodec.inspect(data).quant_tables
    again = mozcodec.inspect(mozcodec.encode(small, None, quant_tables=tables))
    for slot, table in tables.items():
        np.testing.assert_array_equal(again.quant_tables[slot], table)
    assert mozcodec.encode(small, 77, subsampling="420") == mozcodec.encode(small, 77, subsampling="4:2:0")
    assert mozcodec.encode(small, 77, dct_method="fast") == mozcodec.encode(small, 77, dct_method="ifast")
    assert mozcodec.encode(small, profile="fastest", lossless=4) == mozcodec.encode(small, lossless=4)
    with pytest.raises(ValueError, match="subsampling must be one of"):
        mozcodec.encode(small, 77, subsampling="421")


def luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 with libjpeg's 16-bit weights, as jccolor.c."""
    weights = [round(w * 65536) for w in (0.299, 0.587, 0.114)]
    return (rgb.astype(np.int64) @ weights + 32768 >> 16).astype(rgb.dtype)


def test_gray_and_ycbcr_of_every_colour_space(small):
    """The colours of mozcodec's RGB; libjpeg gives YCbCr of YCbCr files only, and gray of neither CMYK nor YCCK."""
    cmyk = np.dstack([small, 255 - small[..., :1]])
    for color_space in ("cmyk", "ycck"):
        data = mozcodec.encode(cmyk, 90, pixel_format="cmyk", color_space=color_space)
        np.testing.assert_array_equal(mozcodec.decode(data, "gray"), luma(mozcodec.decode(data, "rgb")))
    for options in ({"color_space": "rgb"}, {"lossless": 1}):
        data = mozcodec.encode(small, **options)
        rgb = mozcodec.decode(data, "rgb")
        np.testing.assert_array_equal(mozcodec.decode(data, "gray"), luma(rgb))
        theirs = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
        assert np.abs(mozcodec.decode(data, "ycbcr").astype(int) - theirs).max() <= 1
    gray = mozcodec.encode(small[..., 0], 90)
    shown = mozcodec.decode(gray, "ycbcr")
    np.testing.assert_array_equal(shown[..., 0], mozcodec.decode(gray, "gray"))
    assert (shown[..., 1:] == 128).all()
    deep = mozcodec.encode(small.astype(np.uint16) * 257, precision=16, lossless=1)
    np.testing.assert_array_equal(mozcodec.decode(deep, "gray"), luma(small.astype(np.uint16) * 257))


def test_a_non_blocking_file_is_read_to_its_end_or_refused(data):
    """Its read() returns None, or a part, where the writer is slow."""
    for sent, closed in ((b"", False), (data[:100], False), (data, True)):
        end, start = os.pipe()
        os.set_blocking(end, False)
        os.write(start, sent)
        if closed:
            os.close(start)
        for buffering in (-1, 0) if not closed else (-1,):
            with open(end, "rb", buffering=buffering, closefd=False) as file:
                if closed:
                    np.testing.assert_array_equal(mozcodec.decode(file), mozcodec.decode(data))
                else:
                    with pytest.raises(BlockingIOError, match="has no data yet"):
                        mozcodec.decode(file)
        os.close(end)
        if not closed:
            os.close(start)


def test_samples_of_out_do_not_overlap(data, small):
    expanded = torch.empty((1, *small.shape[1:]), dtype=torch.uint8).expand(small.shape)
    with pytest.raises(ValueError, match="the samples of out overlap"):
        mozcodec.decode(data, out=expanded)
    one = torch.empty((1, *small.shape), dtype=torch.uint8).expand(2, *small.shape)
    with pytest.raises(ValueError, match="the samples of out overlap"):
        mozcodec.decode_batch([data, data], out=one)
    padded = torch.empty((small.shape[0], 2 * small.shape[1], 3), dtype=torch.uint8)[:, : small.shape[1]]
    mozcodec.decode(data, out=padded)
    np.testing.assert_array_equal(padded.numpy(), mozcodec.decode(data))


def test_pixels_of_bfloat16_are_refused_with_a_way(small):
    with pytest.raises(TypeError, match=r"got torch.bfloat16; of 0..1: \(image \* 255\)"):
        mozcodec.encode(torch.from_numpy(small).bfloat16(), 77)


# ---- metadata -------------------------------------------------------------------------------------------------------

TOLD = mozcodec.Metadata(
    icc_profile=b"profile" * 9,
    exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    xmp=b"<x:xmpmeta/>",
    comments=(b"first", b"second"),
    iptc=b"\x1c\x02\x05\0\x01a",
)
WRITERS = {
    "encode": lambda im, **told: mozcodec.encode(im, 50, **told),
    "encode, distance": lambda im, **told: mozcodec.encode(im, distance=2, **told),
    "encode_many": lambda im, **told: next(mozcodec.encode_many([im], 50, **told)),
    "Encoder": lambda im, **told: pickle.loads(pickle.dumps(mozcodec.Encoder(50, **told))).encode(im),
    "sweep": lambda im, **told: next(mozcodec.sweep(im, [50], **told)).data,
    "sweep, distances": lambda im, **told: next(mozcodec.sweep(im, distances=[2], **told)).data,
    "encode_scaled": lambda im, **told: mozcodec.encode_scaled(im, 50, dct_size=4, **told),
    "encode_smartscale": lambda im, **told: mozcodec.encode_smartscale(im, 50, block_size=9, **told),
    "bytes": lambda im, **told: mozcodec.encode_to_target(im, bytes=3000, **told).data,
    "bytes, effort": lambda im, **told: mozcodec.encode_to_target(im, bytes=3000, effort=0, **told).data,
    "ssimulacra2": lambda im, **told: mozcodec.encode_to_target(im, ssimulacra2=50, effort=0, **told).data,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_encoder_writes_the_metadata_of_another_file(small, writer):
    data = WRITERS[writer](small, metadata=TOLD)
    assert mozcodec.read_header(data).metadata == TOLD
    assert len(data) <= 3000 or "bytes" not in writer
    changed = mozcodec.read_header(WRITERS[writer](small, metadata=TOLD, comment="third", exif=b"MM" + bytes(9)))
    assert changed.metadata == dataclasses.replace(TOLD, comments=(b"third",), exif=b"MM" + bytes(9))
    with pytest.raises(TypeError, match=r"metadata must be a mozcodec\.Metadata, got dict"):
        WRITERS[writer](small, metadata={"comment": "no"})


def test_metadata_larger_than_the_target_is_an_error(small):
    with pytest.raises(mozcodec.LimitError, match="the metadata alone takes 104 bytes"):
        mozcodec.encode_to_target(small, bytes=100, effort=0, comment="x" * 100)


# ---- memory that is no file -----------------------------------------------------------------------------------------


def test_an_array_of_larger_numbers_is_no_file(small):
    """Its memory begins with FF 00: the bytes of a file as int64, or pixels that were meant to be encoded."""
    data = np.frombuffer(mozcodec.encode(small, 50), np.uint8)
    for wrong in (data.astype(np.int64), data.astype(np.float32), small.astype(np.uint16)):
        with pytest.raises(TypeError, match="a JPEG as an array is uint8, got"):
            mozcodec.decode(wrong)


def test_tensors_without_memory_are_refused_by_name():
    with pytest.raises(TypeError, match="pixels must be in the memory of the CPU"):
        mozcodec.encode(torch.zeros(8, 8, 3, dtype=torch.uint8, device="meta"))
    with pytest.raises(TypeError, match="a JPEG must be in the memory of the CPU"):
        mozcodec.decode(torch.zeros(8, dtype=torch.uint8, device="meta"))
