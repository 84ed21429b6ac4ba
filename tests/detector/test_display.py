"""Frames and images come as they are shown: orientation, pixel shape, colours; what cannot be shown correctly is
reported."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, features

from detector.data import pictures
from detector.data.detection import HaarDetector
from detector.data.display import INTERLACED, oriented
from detector.data.folders import find_pictures
from detector.data.people import upright
from detector.data.pictures import kind_of, not_read, read_image
from detector.data.video import length, read_frames
from detector.errors import DataError

ONE = 1 << 16
# a, b, c, d of x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, y downwards) -> what is seen
ORIENTATIONS: dict[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]] = {
    (1, 0, 0, 1): lambda image: image,
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),  # right goes down: clockwise
    (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
    (0, -1, 1, 0): lambda image: np.rot90(image, 1),
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda image: np.rot90(image, 2).transpose(1, 0, 2),
}


def with_matrix(clip: Path, out: Path, matrix: tuple[float, ...]) -> Path:
    """Copy the MP4 file *clip* to *out* with a, b, c, d of the *matrix* in its track header."""
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of the box's content
    assert data[at : at + 4] == ONE.to_bytes(4, "big")
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + place : at + place + 4] = round(value * ONE).to_bytes(4, "big", signed=True)
    out.write_bytes(data)
    return out


@pytest.fixture(scope="module")
def clip(
    tmp_path_factory: pytest.TempPathFactory, face_photograph: np.ndarray, write_video: Callable[..., Path]
) -> Path:
    return write_video(tmp_path_factory.mktemp("display") / "clip.mp4", [face_photograph] * 3)


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_the_display_matrix_is_applied(clip: Path, tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    plain = read_frames(clip, [1]).images[1]
    found = read_frames(with_matrix(clip, tmp_path / "turned.mp4", matrix), [1]).images[1]
    np.testing.assert_array_equal(found, ORIENTATIONS[matrix](plain))
    assert found.flags.c_contiguous


def test_a_matrix_that_is_not_a_right_angle_is_refused(clip: Path, tmp_path: Path) -> None:
    turned = with_matrix(clip, tmp_path / "turned.mp4", (0.866, 0.5, -0.5, 0.866))
    with pytest.raises(DataError, match=r"the display matrix 0\.866 0\.5 -0\.5 0\.866 does not turn by a right angle"):
        read_frames(turned, [0])
    with pytest.raises(DataError, match="right angle"):
        oriented(np.zeros((2, 2, 3), np.uint8), (0, 0, 0, 0))


def encode(
    path: Path, planes: np.ndarray, options: dict[str, str] | None = None, pix_fmt: str = "yuv420p", **context: object
) -> Path:
    """Write three frames of *planes* as they are, with attributes of the codec's context."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "1", "threads": "1", **(options or {})})
        stream.height, stream.width = planes.shape[0] * 2 // 3, planes.shape[1]
        stream.pix_fmt = pix_fmt
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(planes, format=pix_fmt)
            for name in ("colorspace", "color_range", "color_trc", "color_primaries"):
                if name in context:
                    setattr(frame, name, context[name])
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def flat(y: int, u: int, v: int) -> np.ndarray:
    """Return planes of 64 x 48 pixels of one colour."""
    planes = np.full((72, 64), y, np.uint8)
    planes[48:60], planes[60:] = u, v
    return planes


@pytest.mark.parametrize(
    ("tags", "kr", "kb", "limited"),
    [
        ({}, 0.299, 0.114, True),  # nothing said: BT.601
        ({"colorspace": 6, "color_range": 1}, 0.299, 0.114, True),
        ({"colorspace": 1, "color_range": 1}, 0.2126, 0.0722, True),
        ({"colorspace": 1, "color_range": 2}, 0.2126, 0.0722, False),
        ({"colorspace": 6, "color_range": 2}, 0.299, 0.114, False),
    ],
)
def test_colours_follow_matrix_and_range(
    tmp_path: Path, tags: dict[str, object], kr: float, kb: float, limited: bool
) -> None:
    y, u, v = 120, 90, 170
    image = read_frames(encode(tmp_path / "clip.mp4", flat(y, u, v), **tags), [1]).images[1]
    # ITU-R BT.601 and BT.709: R = Y + 2 (1 - kr) Cr, B = Y + 2 (1 - kb) Cb, G from Y = kr R + kg G + kb B
    luma = (y - 16) / 219 if limited else y / 255
    cb, cr = ((c - 128) / (224 if limited else 255) for c in (u, v))
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    expected = np.array([red, green, blue]) * 255
    assert np.abs(image.reshape(-1, 3).mean(axis=0) - expected).max() < 2.5


@pytest.mark.parametrize(("ratio", "size"), [((4, 3), (48, 85)), ((3, 4), (64, 64)), ((1, 1), (48, 64))])
def test_pixels_become_square(tmp_path: Path, ratio: tuple[int, int], size: tuple[int, int]) -> None:
    path = encode(tmp_path / "clip.mp4", flat(120, 128, 128), sample_aspect_ratio=Fraction(*ratio))
    assert read_frames(path, [0]).images[0].shape[:2] == size


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_video_is_refused_with_a_remedy(tmp_path: Path, transfer: int, name: str) -> None:
    path = encode(tmp_path / "clip.mp4", flat(120, 128, 128), color_trc=transfer, colorspace=9, color_primaries=9)
    assert length(path)[0] == 3
    with pytest.raises(DataError, match=rf"HDR video \({name}, .*ffmpeg -i IN -vf zscale"):
        read_frames(path, [0])


def test_interlaced_video_is_reported(tmp_path: Path, clip: Path) -> None:
    path = encode(tmp_path / "clip.mp4", flat(120, 128, 128), {"x264-params": "interlaced=1"})
    assert read_frames(path, [0]).notes == {INTERLACED}
    assert read_frames(clip, [0]).notes == set()


def saved(image: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def as_oriented(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Return how an image is shown whose *orientation* (TIFF 6.0, tag 274) says where row 0 and column 0 are."""
    shown = stored.transpose(1, 0, 2) if orientation > 4 else stored
    shown = shown[:, ::-1] if orientation in (2, 3, 6, 7) else shown
    return shown[::-1] if orientation in (3, 4, 7, 8) else shown


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_in_every_format(kind: str, face_photograph: np.ndarray, tmp_path: Path) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "turned").write_bytes(saved(face_photograph, kind, exif=exif))
        (tmp_path / "plain").write_bytes(saved(face_photograph, kind))
        expected = as_oriented(read_image(tmp_path / "plain"), orientation)
        np.testing.assert_array_equal(read_image(tmp_path / "turned"), expected, err_msg=f"orientation {orientation}")


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_avif_is_read_upright(face_photograph: np.ndarray, tmp_path: Path) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "a.jpg").write_bytes(saved(face_photograph, "AVIF", quality=90, exif=exif))  # the suffix is wrong
        assert kind_of(tmp_path / "a.jpg") == "image"
        found, expected = read_image(tmp_path / "a.jpg").astype(int), as_oriented(face_photograph, orientation)
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 3, orientation


def test_heic_is_read_or_the_extra_is_named(face_photograph: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    try:
        import pillow_heif
    except ImportError:
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
        assert kind_of(path) == "image"
        with pytest.raises(DataError, match=r"HEIC files need an extra: pip install 'detector\[heif\]'"):
            read_image(path)
        return
    pillow_heif.register_heif_opener()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path.write_bytes(saved(face_photograph, "HEIF", quality=90, exif=exif.tobytes()))
        # the orientation is in boxes of the file, irot and imir, which decoders apply; EXIF must not be applied again
        assert (b"irot" in path.read_bytes()) == (orientation in (3, 5, 6, 7, 8))
        found = read_image(path).astype(int)
        expected = as_oriented(face_photograph, orientation)
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 3, orientation
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"not a readable HEIC file: [^<]*$"):  # no address in memory
        read_image(path)


def test_files_are_recognised_by_their_content(face_photograph: np.ndarray, clip: Path, tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000"):
        (tmp_path / kind).write_bytes(saved(face_photograph, kind))
        assert kind_of(tmp_path / kind) == "image", kind
        assert read_image(tmp_path / kind).shape == face_photograph.shape
    for suffix in ("mp4", "mov", "avi", "mkv", "ts", "mpg", "flv"):
        path = tmp_path / f"clip.{suffix}"
        with av.open(str(clip)) as source, av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg2video" if suffix == "mpg" else "libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for frame in source.decode(video=0):
                frame.pict_type = 0
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        renamed = path.rename(tmp_path / f"{suffix}.jpg")
        assert kind_of(renamed) == "video", suffix
        assert length(renamed)[0] >= 1
    audio = b"\0\0\0\x18ftypM4A \0\0\0\0"
    for name, data in (("a.txt", b"text"), ("b", b""), ("c.pdf", b"%PDF-1.7"), ("d.m4a", audio)):
        (tmp_path / name).write_bytes(data)
        assert kind_of(tmp_path / name) is None, name
    # damaged: by the suffix, so that it is listed as unreadable
    (tmp_path / "e.jpg").write_bytes(b"damaged")
    assert kind_of(tmp_path / "e.jpg") == "image"
    assert kind_of(tmp_path / "missing.mp4") == "video"


def test_what_a_folder_holds_and_is_not_read_is_counted_and_named(tmp_path: Path) -> None:
    for name in ("real/a.png", "fake/b.png", "fake/notes.txt", "other/c.png", "readme", "dataset.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    remarks = "\n".join(find_pictures(tmp_path).remarks)
    assert f"1 files in {tmp_path} are not read (neither images nor videos; 1 .txt): fake/notes.txt" in remarks
    assert f"2 files in {tmp_path} are not read (in none of the folders real and fake; 1 .png, 1 no suffix)" in remarks
    assert "): other/c.png, readme" in remarks
    (tmp_path / "manifest.csv").write_text("path,label\nreal/a.png,real\nfake/b.png,fake\n")
    remarks = "\n".join(find_pictures(tmp_path).remarks)
    assert f"3 files in {tmp_path} are not read (not listed in manifest.csv" in remarks
    assert "other/c.png" in remarks
    many = [tmp_path / f"{n:02}.txt" for n in range(12)]
    assert not_read(many, tmp_path)[0].endswith("09.txt and 2 more")
    assert pictures.not_read([], tmp_path) == []


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_face_on_its_side_is_found_and_the_angle_is_reported(face_photograph: np.ndarray, turned: int) -> None:
    image = np.ascontiguousarray(np.rot90(face_photograph, turned // 90))  # counterclockwise
    view = upright(image, HaarDetector(), every=False)
    assert view is not None
    assert view.turned == turned
    np.testing.assert_array_equal(view.image, face_photograph)
    # the astronaut's eyes in the photograph that was cut at x = 65
    assert np.abs(view.faces[0].eyes - [[136.5, 100.5], [182.5, 103.5]]).max() < 4


def test_an_image_without_any_face_has_no_view() -> None:
    assert upright(np.full((200, 240, 3), 90, np.uint8), HaarDetector(), every=True) is None
