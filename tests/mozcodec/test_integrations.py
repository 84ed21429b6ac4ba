"""mozcodec inside Pillow, imageio, torchvision and webdataset."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import mozcodec

TURBO = {"profile": "fastest", "quant_table": 0, "quant_baseline": True, "subsampling": "4:2:0"}


@pytest.fixture(scope="module")
def face(astronaut) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:200, 120:333])


# ---- Pillow ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pillow():
    import mozcodec.pillow

    mozcodec.pillow.register()
    yield mozcodec.pillow
    mozcodec.pillow.unregister()


def _saved(image: Image.Image, format: str = "JPEG", **parameters) -> bytes:  # noqa: A002  (Pillow's name)
    file = io.BytesIO()
    image.save(file, format, **parameters)
    return file.getvalue()


def test_a_save_with_mozjpeg_has_the_bytes_of_encode(pillow, face):
    image = Image.fromarray(face)
    plain = _saved(image, quality=77)
    assert _saved(image, mozjpeg=True, quality=77) == mozcodec.encode(face, 77)
    assert _saved(image, mozjpeg=True) == mozcodec.encode(face)
    assert _saved(image.convert("L"), mozjpeg=True) == mozcodec.encode(np.asarray(image.convert("L")))
    assert _saved(image, mozjpeg={"distance": 2.0}) == mozcodec.encode(face, distance=2.0)
    assert _saved(image, mozjpeg=True, subsampling=0, progressive=False) == mozcodec.encode(
        face, subsampling="4:4:4", progressive=False
    )
    pillow.unregister()
    assert _saved(image, quality=77) == plain  # without mozjpeg= it was Pillow's encoder


def test_pillow_shows_the_same_pixels_with_mozcodecs_decoder(pillow, face):
    files = [_saved(Image.fromarray(face), quality=q, progressive=q > 60, subsampling=q % 3) for q in (30, 61, 95)]
    files.append(_saved(Image.fromarray(face).convert("CMYK"), quality=80))
    ours = [np.asarray(Image.open(io.BytesIO(data))) for data in files]
    pillow.unregister()
    for data, pixels in zip(files, ours, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


@pytest.mark.usefixtures("pillow")
def test_metadata_reaches_the_file(face):
    exif = Image.Exif()
    exif[0x010E] = "a face"
    data = _saved(
        Image.fromarray(face), mozjpeg=True, exif=exif, icc_profile=b"profile", comment=b"text", dpi=(300, 300)
    )
    image = Image.open(io.BytesIO(data))
    assert image.getexif()[0x010E] == "a face"
    assert (image.info["icc_profile"], image.info["comment"], image.info["dpi"]) == (b"profile", b"text", (300, 300))


@pytest.mark.usefixtures("pillow")
def test_every_image_of_an_mpo_file_is_mozjpegs(face):
    first, second = Image.fromarray(face), Image.fromarray(face[::-1].copy())
    data = _saved(first, "MPO", save_all=True, append_images=[second], mozjpeg=True, quality=70)
    assert [mozcodec.read_header(part).progressive for part in mozcodec.pictures(data)] == [True, True]
    opened = Image.open(io.BytesIO(data))
    opened.seek(1)
    assert np.array_equal(np.asarray(opened), mozcodec.decode(data, picture=1))


def test_a_default_holds_for_saves_that_do_not_name_mozjpeg(pillow, face):
    pillow.register(default=TURBO)
    assert _saved(Image.fromarray(face), quality=77) == mozcodec.encode(face, 77, **TURBO)
    assert mozcodec.read_header(_saved(Image.fromarray(face), subsampling=0)).subsampling == "4:4:4"


@pytest.mark.usefixtures("pillow")
def test_errors_of_pillows_kind(face):
    data = _saved(Image.fromarray(face), mozjpeg=True)
    with pytest.raises(OSError, match="truncated or corrupt"):
        Image.open(io.BytesIO(data[: len(data) // 2])).load()
    with pytest.raises(TypeError, match="mozjpeg must be True, False or options"):
        _saved(Image.fromarray(face), mozjpeg="yes")
    with pytest.raises(ValueError, match="quality or distance"):
        _saved(Image.fromarray(face), mozjpeg={"distance": 1.0}, quality=50)


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"quality": 0}, {"quality": 1}),  # libjpeg takes the nearest quality, Pillow passes it on
        ({"quality": 300}, {"quality": 100}),
        ({"subsampling": "4:2:2"}, {"subsampling": "4:2:2"}),
        ({"keep_rgb": True}, {"color_space": "rgb", "subsampling": "4:4:4"}),
        ({"optimize": True, "smooth": 20}, {"optimize_coding": True, "smoothing_factor": 20}),
        ({"restart_marker_blocks": 5}, {"restart_interval": 5}),
        ({"restart_marker_rows": 2}, {"restart_rows": 2}),
        ({"dpi": (72, 96)}, {"density": (72, 96, "inch")}),
    ],
)
@pytest.mark.usefixtures("pillow")
def test_pillows_parameters_are_the_options_of_the_same_meaning(parameters, options, face):
    assert _saved(Image.fromarray(face), mozjpeg=True, **parameters) == mozcodec.encode(face, **options)


@pytest.mark.usefixtures("pillow")
def test_pillows_tables_reach_the_file_as_pillow_writes_them(face):
    tables = [list(range(1, 65)), [30] * 64]
    for parameters in ({"qtables": tables}, {"qtables": tables, "quality": 40}, {"qtables": tables[:1]}):
        plain, ours = (_saved(Image.fromarray(face), mozjpeg=m, **parameters) for m in (False, True))
        assert Image.open(io.BytesIO(ours)).quantization == Image.open(io.BytesIO(plain)).quantization


@pytest.mark.usefixtures("pillow")
def test_every_mode_that_pillow_writes_as_jpeg_has_its_pixels(face):
    image = Image.fromarray(face)
    for mode in ("1", "L", "RGBX", "CMYK", "YCbCr"):
        plain, ours = (_saved(image.convert(mode), mozjpeg=m, quality=95, subsampling=0) for m in (False, True))
        first, second = Image.open(io.BytesIO(plain)), Image.open(io.BytesIO(ours))
        assert (second.mode, second.size) == (first.mode, first.size)
        # the quantization tables differ: both lose a little of the same image
        difference = np.abs(np.asarray(first, int) - np.asarray(second, int))
        assert difference.mean() < 2.5, mode


@pytest.mark.usefixtures("pillow")
def test_what_pillow_allows_and_a_whole_file_cannot_be_is_refused(face):
    image = Image.fromarray(face)
    with pytest.raises(OSError, match=r"writes whole files, not streams without tables .*streamtype=2"):
        _saved(image, mozjpeg=True, streamtype=2)
    with pytest.raises(OSError, match="are not subsampled"):
        _saved(image, mozjpeg=True, keep_rgb=True, subsampling=2)
    with pytest.raises(ValueError, match="a JPEG has at most 65535 rows and columns, got 1 x 65536"):
        _saved(Image.new("L", (65536, 1)), mozjpeg=True)
    damaged = bytearray(_saved(image, mozjpeg=True))
    damaged[damaged.index(b"\xff\xc4") + 4] = 0x7F  # a Huffman table of class 7
    with pytest.raises(OSError, match=r"cannot decode the JPEG: |truncated or corrupt"):
        Image.open(io.BytesIO(bytes(damaged))).load()


# ---- imageio --------------------------------------------------------------------------------------------------------


def test_imageio_reads_and_writes_by_the_plugin(tmp_path, face):
    iio = pytest.importorskip("imageio.v3")
    import mozcodec.imageio

    path = tmp_path / "face.jpg"
    iio.imwrite(path, face, plugin="mozcodec", quality=77)
    data = path.read_bytes()
    assert data == mozcodec.encode(face, 77)
    assert iio.imwrite("<bytes>", face, plugin="mozcodec", extension=".jpg", quality=77) == data
    assert np.array_equal(iio.imread(path, plugin="mozcodec"), mozcodec.decode(data))
    assert iio.imread(data, plugin="mozcodec", scale=4, pixel_format="gray").shape == (100, 107)
    assert iio.improps(path, plugin="mozcodec").shape == face.shape
    assert iio.immeta(path, plugin="mozcodec")["subsampling"] == "4:2:0"
    with pytest.raises(OSError, match="mozcodec"):
        iio.imread(b"\x89PNG\r\n\x1a\n" + bytes(50), plugin="mozcodec")


def test_imageio_reads_each_image_of_an_mpo_file(face):
    iio = pytest.importorskip("imageio.v3")
    import mozcodec.imageio

    data = _saved(Image.fromarray(face), "MPO", save_all=True, append_images=[Image.fromarray(face[::-1].copy())])
    assert iio.imread(data, plugin="mozcodec", index=...).shape == (2, *face.shape)
    assert np.array_equal(iio.imread(data, plugin="mozcodec", index=1), mozcodec.decode(data, picture=1))
    assert len(list(iio.imiter(data, plugin="mozcodec"))) == 2
    with pytest.raises(ValueError, match=r"index must be 0\.\.1"):
        iio.imread(data, plugin="mozcodec", index=2)


def test_imageio_stacks_equal_images_only_and_writes_one(face):
    iio = pytest.importorskip("imageio.v3")
    import mozcodec.imageio

    mixed = _saved(Image.fromarray(face), "MPO", save_all=True, append_images=[Image.fromarray(face[:100])])
    with pytest.raises(ValueError, match=r"images of different sizes cannot be stacked: \[\(200, 213, 3\), \(100, 213"):
        iio.imread(mixed, plugin="mozcodec", index=...)
    assert [image.shape[0] for image in iio.imiter(mixed, plugin="mozcodec")] == [200, 100]
    one = iio.imwrite("<bytes>", [face], plugin="mozcodec", extension=".jpg", is_batch=True)
    assert one == mozcodec.encode(face)
    with pytest.raises(ValueError, match="a JPEG file holds one image, got 2"):
        iio.imwrite("<bytes>", [face, face], plugin="mozcodec", extension=".jpg", is_batch=True)
    same = _saved(Image.fromarray(face), "MPO", save_all=True, append_images=[Image.fromarray(face)])
    found = iio.improps(same, plugin="mozcodec", index=...)
    assert (found.shape, found.n_images, found.is_batch) == ((2, *face.shape), 2, True)


# ---- torchvision ----------------------------------------------------------------------------------------------------


def _import_torchvision() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("detector.models._timm")  # lets a torchvision for CUDA be imported beside a torch for the CPU


def _tensor(face):
    _import_torchvision()
    import torch

    return torch.from_numpy(face.transpose(2, 0, 1).copy())


def test_the_transform_gives_torchvisions_pixels(face):
    tensor = _tensor(face)
    v2 = pytest.importorskip("torchvision.transforms.v2")
    from mozcodec.torch import JPEG

    for quality in (1, 10, 50, 77, 100):
        try:
            theirs = v2.JPEG(quality)(tensor).numpy()
        except RuntimeError:  # torchvision without its compiled operators; Pillow writes the same files
            file = _saved(Image.fromarray(face), quality=quality)
            theirs = np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1)
        assert np.array_equal(JPEG(quality)(tensor).numpy(), theirs)


def test_the_qualities_are_those_of_the_generator(face):
    tensor = _tensor(face)
    import torch

    from mozcodec.torch import JPEG

    batch = tensor.expand(6, -1, -1, -1)

    def run(seed: int, threads: int) -> torch.Tensor:
        return JPEG((5, 95), generator=torch.Generator().manual_seed(seed), threads=threads)(batch)

    first = run(3, 1)
    assert (first == run(3, 2)).all()
    assert not (first == run(4, 1)).all()
    drawn = torch.randint(5, 96, (6,), generator=torch.Generator().manual_seed(3)).tolist()
    for image, quality in zip(first, drawn, strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), mozcodec.decode(mozcodec.encode(face, quality, **TURBO)))


def test_the_transform_takes_what_torchvision_v2_takes(face):
    tensor = _tensor(face)
    import torch
    from torchvision import tv_tensors

    from mozcodec.torch import JPEG

    jpeg = JPEG(40, encoder="mozjpeg")
    expected = mozcodec.decode(mozcodec.encode(face, 40))
    sample = jpeg({"image": tv_tensors.Image(tensor), "boxes": torch.ones(2, 4), "label": 1})
    assert type(sample["image"]) is tv_tensors.Image and sample["label"] == 1 and (sample["boxes"] == 1).all()
    assert np.array_equal(sample["image"].permute(1, 2, 0).numpy(), expected)
    assert np.array_equal(np.asarray(jpeg(Image.fromarray(face))), expected)
    assert np.array_equal(jpeg(tensor).permute(1, 2, 0).numpy(), expected)
    last = tensor[None].contiguous(memory_format=torch.channels_last)
    assert (jpeg(last)[0] == jpeg(tensor)).all() and jpeg(last).is_contiguous(memory_format=torch.channels_last)
    gray = mozcodec.decode(mozcodec.encode(face[..., 0], 40), "gray")
    assert np.array_equal(jpeg(tensor[:1])[0].numpy(), gray)
    assert jpeg(Image.fromarray(face).convert("L")).mode == "L"
    assert jpeg(tensor[None, None].expand(2, 2, -1, -1, -1)).shape == (2, 2, 3, 200, 213)
    assert jpeg(tensor[:0].new_empty(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_the_transform_takes_views_of_every_kind(face):
    tensor = _tensor(face)

    from mozcodec.torch import JPEG

    batch = tensor[None].repeat(3, 1, 1, 1)
    views = {
        "crops": batch[:, :, 3:60, 5:71],
        "rotated": batch.transpose(2, 3),
        "every second image": tensor[None].repeat(6, 1, 1, 1)[::2],
        "one plane three times": tensor[None, :1].expand(3, 3, -1, -1),
        "channels last": batch.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        "bgr": batch.flip(1),
        "five axes": batch[None],
    }
    for encoder, options in (("turbo", TURBO), ({"arithmetic": True}, {"arithmetic": True})):
        for threads in (1, 2):
            for name, view in views.items():
                got = JPEG(55, encoder=encoder, threads=threads)(view)
                assert got.shape == view.shape
                pixels = view.reshape(-1, *view.shape[-3:])[-1].permute(1, 2, 0).contiguous().numpy()
                expected = mozcodec.decode(mozcodec.encode(pixels, 55, **options))
                last = got.reshape(-1, *view.shape[-3:])[-1].permute(1, 2, 0).numpy()
                assert np.array_equal(last, expected), (name, threads)


@pytest.mark.parametrize("quality", [0, 101, (50, 40), (1.5, 3), True, (30,), (1, 2, 3), 7.5, None, "75"])
def test_wrong_qualities_are_refused(quality):
    _import_torchvision()
    from mozcodec.torch import JPEG

    with pytest.raises(ValueError, match="quality must be"):
        JPEG(quality)


def test_wrong_pixels_and_encoders_are_refused(face):
    tensor = _tensor(face)
    import torch

    from mozcodec.torch import JPEG

    with pytest.raises(TypeError, match=r"uint8.*got torch.float32.*before v2\.ToDtype"):
        JPEG(50)(tensor.float())
    with pytest.raises(TypeError, match=r"drop alpha with image\[\.\.\., :3, :, :\]"):
        JPEG(50)(torch.cat([tensor, tensor[:1]]))
    for encoder in ("jpegli", None, 3, ["mozjpeg"]):
        with pytest.raises(ValueError, match="encoder must be"):
            JPEG(50, encoder=encoder)
    with pytest.raises(ValueError, match="cannot have precision 12"):
        JPEG(50, encoder={"precision": 12})
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator or None, got 3"):
        JPEG((30, 95), generator=3)
    assert JPEG(np.int64(50)).quality == (50, 50)
    with pytest.raises(ValueError, match="cannot have distance"):
        JPEG(50, encoder={"distance": 1})


# ---- webdataset -----------------------------------------------------------------------------------------------------


def test_the_handler_decodes_jpeg_fields_only(face):
    from mozcodec.webdataset import decoder, encoder

    data = encoder(77)(face)
    assert data == mozcodec.encode(face, 77) and encoder(77)(data) == data
    assert np.array_equal(decoder("rgb8")(".jpg", data), mozcodec.decode(data))
    assert decoder("rgb8")(".png", data) is None and decoder("rgb8")("left.JPEG", data) is not None
    assert decoder("l")(".jpg", data).dtype == np.float32
    assert decoder("rgb8", scale=4)(".jpg", data).shape == (100, 107, 3)
    tensor = decoder("torchrgb")(".jpg", data)  # as WebDataset's own: float32 in 0..1, channels first
    assert (str(tensor.dtype), tuple(tensor.shape)) == ("torch.float32", (3, 200, 213))
    assert np.array_equal(tensor.numpy(), mozcodec.decode(data, layout="chw").astype(np.float32) / np.float32(255))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    turned = mozcodec.encode(face, 77, exif=exif.tobytes()[6:])
    assert decoder(apply_orientation=True)(".jpg", turned).shape == (213, 200, 3)
    assert decoder("torchl8")(".jpg", data).shape == (200, 213) == decoder("l8")(".jpg", data).shape
    with pytest.raises(ValueError, match="spec must be"):
        decoder("pil")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"sclae": 4}, TypeError, "unknown option 'sclae'"),
        ({"pixel_format": "gray"}, TypeError, "unknown option 'pixel_format'"),
        ({"scale": 17}, ValueError, r"scale must be 1\.\.16"),
    ],
)
def test_a_wrong_option_is_refused_before_a_sample_is_read(options, error, said):
    """With ``handler=warn_and_continue`` it would otherwise skip every sample."""
    from mozcodec.webdataset import decoder

    with pytest.raises(error, match=said):
        decoder("rgb8", **options)


PIPELINE = """
import sys
import mozcodec, numpy, webdataset
from mozcodec.webdataset import decoder, encoder

face, path = numpy.load(sys.argv[1]), sys.argv[2]
with webdataset.TarWriter(path, encoder={"jpg": encoder(77), "cls": lambda n: str(n).encode()}) as writer:
    for key, image in enumerate((face, mozcodec.encode(face)[:900], face)):
        writer.write({"__key__": str(key), "jpg": image, "cls": key})
shard = webdataset.WebDataset(path, shardshuffle=False)
first = next(iter(shard.decode(decoder("rgb8"))))
assert numpy.array_equal(first["jpg"], mozcodec.decode(mozcodec.encode(face, 77))) and first["cls"] == 0
for spec in ("l8", "rgb", "rgba8", "torchl8", "torchrgb", "torchrgba8"):
    theirs, ours = (next(iter(shard.decode(one)))["jpg"] for one in (spec, decoder(spec)))
    assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape), spec
    # gray is the file's own, theirs is made of its RGB
    assert "l" in spec or numpy.array_equal(theirs, ours), spec
try:
    list(shard.decode(decoder("rgb8")))
except webdataset.autodecode.DecodingError as error:
    assert isinstance(error.__cause__, mozcodec.JpegError)
else:
    raise AssertionError("a damaged file was decoded")
skipped = shard.decode(decoder("rgb8"), handler=webdataset.ignore_and_continue)
assert [sample["__key__"] for sample in skipped] == ["0", "2"]
"""


def test_webdataset_decodes_as_by_itself_and_skips_damaged_files(tmp_path, face):
    """In a process of its own: webdataset closes no shard of which only a part was read."""
    pytest.importorskip("webdataset")
    np.save(tmp_path / "face.npy", face)
    command = [sys.executable, "-c", PIPELINE, str(tmp_path / "face.npy"), str(tmp_path / "shard.tar")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "library"), [("pillow", "PIL"), ("imageio", "imageio.config"), ("torch", "torchvision")]
)
def test_a_missing_library_is_named(module, library):
    code = f"import sys; sys.modules[{library!r}] = None; import mozcodec; import mozcodec.{module}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert f"pip install 'mozcodec[{module}]'" in done.stderr


def test_a_torchvision_of_another_build_is_named(tmp_path):
    """Beside a torch for the CPU, the torchvision of the package index raises RuntimeError."""
    (tmp_path / "torch.py").touch()
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import mozcodec.torch"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ImportError: mozcodec.torch needs a torchvision built for the installed torch (operator")
