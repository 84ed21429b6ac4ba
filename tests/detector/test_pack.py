"""Packing of DeepfakeBench's crops: data read from its file and names, refused input."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import mozcodec
from detector.cli import cli
from detector.data.index import read_index, read_masks
from detector.data.inspect import decode, unpack, verify
from detector.data.pack import pack_deepfakebench, persons
from detector.data.pictures import read_image
from detector.data.png import encode_png
from detector.data.shards import ShardReader
from detector.data.tiff import check_tiff
from detector.errors import DataError, ExhaustedError

RNG = np.random.default_rng(3)


def crop(side: int = 24) -> np.ndarray:
    return RNG.integers(0, 256, (side, side, 3), np.uint8)


def write_theirs(root: Path, name: str, labels: dict[str, dict[str, Any]]) -> Path:
    """Write a dataset file as rearrange.py does, and its crops.

    *labels*: label -> split -> level -> names; or names right below the split, where there are no levels.
    """

    def videos(label: str, level: str, names: list[str]) -> dict[str, Any]:
        found = {}
        for video in names:
            frames = [f"{name}/{label}/{level}/frames/{video}/{i:03}.png" for i in (11, 0)]
            for frame in frames:
                (root / frame).parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(root / frame), crop())
            # another machine's path
            found[video] = {"label": label, "frames": [f"/home/they/data/{frame}" for frame in frames]}
        return found

    content: dict[str, Any] = {}
    for label, splits in labels.items():
        content[label] = {}
        for split, inner in splits.items():
            if isinstance(inner, list):
                content[label][split] = videos(label, "", inner)
            else:
                content[label][split] = {level: videos(label, level, names) for level, names in inner.items()}
    path = root / f"{name}.json"
    path.write_text(json.dumps({name: content}))
    return path


def test_what_was_unpacked_packs_to_the_same_rows_and_bytes(small_faces: Path, tmp_path: Path) -> None:
    unpack(small_faces, tmp_path / "loose")
    summary = pack_deepfakebench(tmp_path / "loose/FaceForensics++.json", tmp_path / "again")
    # loose files do not say how they were cut
    unknown = {
        "border": None,
        "scale": None,
        "shrink": None,
        "roll": None,
        "turned": None,
        "landmarks": None,
        "certainty": None,
    }
    assert read_index(tmp_path / "again") == [replace(face, **unknown) for face in read_index(small_faces)]
    assert read_masks(tmp_path / "again") == read_masks(small_faces)
    assert (tmp_path / "again/faces-000.tar").read_bytes() == (small_faces / "faces-000.tar").read_bytes()
    before = json.loads((small_faces / "summary.json").read_text())
    assert {name: summary[name] for name in ("dataset", "identities", "videos", "faces")} == {
        name: before[name] for name in ("dataset", "identities", "videos", "faces")
    }
    assert summary["parameters"]["size"] == 64
    assert verify(tmp_path / "again") == (48 + 24, [])


def test_their_tree_moved_from_another_machine_is_found_below_the_root(tmp_path: Path) -> None:
    path = write_theirs(
        tmp_path / "data",
        "FF-DF",
        {
            "FF-real": {"train": {"c23": ["071", "054"]}, "test": {"c23": ["953"]}},
            "FF-DF": {"train": {"c23": ["071_054", "054_071"]}, "test": {"c23": ["953_974"]}},
        },
    )
    summary = pack_deepfakebench(path, tmp_path / "out", root=tmp_path / "data")
    assert summary["faces"] == {
        "original": {"train": 4, "val": 0, "test": 2},
        "Deepfakes": {"train": 4, "val": 0, "test": 2},
    }
    assert summary["identities"] == {"train": 2, "val": 0, "test": 2}
    assert summary["dataset"]["name"] == "FF-DF"
    faces = {face.key: face for face in read_index(tmp_path / "out")}
    fake = faces["c23/Deepfakes/071_054/0011"]
    assert (fake.identity, fake.pair, fake.split, fake.label, fake.frame) == ("071+054", "054_071", "train", 1, 11)
    # a real one is in the pair of its forgeries
    assert faces["c23/original/953/0000"].pair == "953_974"
    reader = ShardReader(tmp_path / "out")
    for face in faces.values():
        label = "FF-DF" if face.label else "FF-real"
        file = tmp_path / f"data/FF-DF/{label}/c23/frames/{face.video.split('/')[1]}/{face.frame:03}.png"
        assert (decode(reader.read(face, check=True)) == cv2.imread(str(file))[..., ::-1]).all()


@pytest.mark.parametrize(
    ("label", "name", "expected"),
    [
        ("FF-real", "953", ["953"]),
        ("FF-FH", "953_974", ["953", "974"]),
        ("DFD_real", "01__kitchen_pan", ["actor01"]),
        ("DFD_fake", "28_03__walk_down_hall_angry__A1B2C3D4", ["actor28", "actor03"]),
        ("CelebDFv2_real", "id0_0003", ["id0"]),
        ("CelebDFv2_fake", "id16_id20_0003", ["id16", "id20"]),
        ("CelebDFv2_real", "00170", None),
        ("DFDCP_FakeA", "1224068_A_001", None),
    ],
)
def test_names_give_the_persons(label: str, name: str, expected: list[str] | None) -> None:
    assert persons(label, name) == expected


def test_celeb_df_has_no_levels_and_its_unknown_people_are_counted(tmp_path: Path) -> None:
    path = write_theirs(
        tmp_path,
        "Celeb-DF-v2",
        {"CelebDFv2_real": {"test": ["id0_0000", "00170"]}, "CelebDFv2_fake": {"test": ["id0_id1_0000"]}},
    )
    summary = pack_deepfakebench(path, tmp_path / "out", root=tmp_path)
    assert [(f.key, f.identity, f.pair) for f in read_index(tmp_path / "out")][::2] == [
        ("given/fake/id0_id1_0000/0000", "id0+id1", "id0"),
        ("given/original/00170/0000", "Celeb-DF-v2/00170", "Celeb-DF-v2/00170"),
        ("given/original/id0_0000/0000", "id0", "id0"),
    ]
    assert summary["remarks"] == [
        "the persons in 1 of 3 videos are unknown: each counts as one identity, so whether a person is in two splits "
        "of Celeb-DF-v2.json was not checked"
    ]


def test_videos_in_all_splits_are_refused_unless_one_split_is_selected(tmp_path: Path) -> None:
    # as DeepfakeBench writes DeepFakeDetection
    everywhere = {split: {"c23": ["01__kitchen_pan"]} for split in ("train", "val", "test")}
    fakes = {split: {"c23": ["01_02__kitchen_pan__A1B2C3D4"]} for split in ("train", "val", "test")}
    path = write_theirs(tmp_path, "DeepFakeDetection", {"DFD_real": everywhere, "DFD_fake": fakes})
    with pytest.raises(DataError, match=r"is twice in the splits test and train; choose one split with --split"):
        pack_deepfakebench(path, tmp_path / "out", root=tmp_path)
    summary = pack_deepfakebench(path, tmp_path / "out", root=tmp_path, splits=["test"])
    assert summary["faces"] == {
        "original": {"train": 0, "val": 0, "test": 2},
        "DeepFakeDetection": {"train": 0, "val": 0, "test": 2},
    }


def test_a_person_in_two_splits_is_refused_with_both_videos(tmp_path: Path) -> None:
    labels = {"FF-real": {"train": {"c23": ["071"]}}, "FF-DF": {"test": {"c23": ["071_054"]}}}
    path = write_theirs(tmp_path, "FF-DF", labels)
    with pytest.raises(
        DataError, match=r"identity 071 is in split test \(Deepfakes/071_054\) and in train \(original/071"
    ):
        pack_deepfakebench(path, tmp_path / "out", root=tmp_path)


def test_several_levels_need_a_choice(tmp_path: Path) -> None:
    levels = {"c23": ["071"], "c40": ["071"]}
    path = write_theirs(tmp_path, "FF-DF", {"FF-real": {"train": levels}, "FF-DF": {"train": {"c40": ["071_054"]}}})
    with pytest.raises(DataError, match="has the levels c23, c40; choose one with --compression"):
        pack_deepfakebench(path, tmp_path / "out", root=tmp_path)
    with pytest.raises(DataError, match="no videos at raw; there is c23, c40"):
        pack_deepfakebench(path, tmp_path / "out", root=tmp_path, compression="raw")
    pack_deepfakebench(path, tmp_path / "out", root=tmp_path, compression="c40")
    assert {face.compression for face in read_index(tmp_path / "out")} == {"c40"}


def test_a_label_without_a_class_must_be_given_one(tmp_path: Path) -> None:
    path = write_theirs(tmp_path, "Mine", {"people": {"train": ["a"]}, "gan": {"train": ["b"]}})
    with pytest.raises(DataError, match="unknown label 'gan'; use --real gan or --fake gan"):
        pack_deepfakebench(path, tmp_path / "out", root=tmp_path, real=["people"])
    pack_deepfakebench(path, tmp_path / "out", root=tmp_path, real=["people"], fake=["gan"])
    assert [face.video for face in read_index(tmp_path / "out")][::2] == ["gan/b", "original/a"]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    labels = {"FF-real": {"train": {"c23": ["071", "054"]}}, "FF-DF": {"train": {"c23": ["071_054"]}}}
    return write_theirs(tmp_path, "FF-DF", labels)


def test_missing_and_damaged_crops_are_listed_and_the_rest_is_packed(theirs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "FF-DF/FF-real/c23/frames/071"
    (folder / "000.png").unlink()
    (folder / "011.png").write_bytes((folder / "011.png").read_bytes()[:100])
    summary = pack_deepfakebench(theirs, tmp_path / "out", root=tmp_path)
    assert summary["failures"]["frames"] == 2
    with (tmp_path / "out/failures.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [(video, frame, reason.rpartition(": ")[2]) for video, frame, reason in rows] == [
        ("original/071", "0", "No such file or directory"),
        ("original/071", "11", "the PNG file ends too early"),
    ]
    assert len(read_index(tmp_path / "out")) == 4


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_decoders_write_no_line_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """libpng and OpenCV describe what they do not like on stderr, without the name of the file."""
    y, x = np.mgrid[:40, :60]
    image = np.dstack([x * 4, y * 6, x * y]).astype(np.uint8)
    whole = encode_png(image)
    path = tmp_path / "image.png"
    for texts in (png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")), png_chunk(b"tEXt", b"")):
        path.write_bytes(whole[:33] + texts + whole[33:] + b"more")
        assert np.array_equal(read_image(path), image)
    for at in range(8, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        with pytest.raises(DataError, match=r"the PNG file (is damaged: its chunk (\w{4}|0x\w{8}) at|ends)"):
            read_image(path)
        path.write_bytes(whole[:at])
        with pytest.raises(DataError, match="the PNG file ends too early"):
            read_image(path)
    for suffix in (".bmp", ".tiff", ".webp"):
        path.write_bytes(cv2.imencode(suffix, image)[1].tobytes()[:300])
        with pytest.raises(DataError, match="not an image that OpenCV can read"):
            read_image(path)
    assert capfd.readouterr().err == ""


def test_packing_ends_when_descriptors_run_out_and_lists_no_crop(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = os.open

    def failing(path: Any, *options: Any, **named: Any) -> int:
        if os.fsdecode(path).endswith("071/000.png"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        return ordinary(path, *options, **named)

    monkeypatch.setattr("detector.reading.os.open", failing)
    with pytest.raises(ExhaustedError, match=r"071/000\.png: Too many open files: raise the limit"):
        pack_deepfakebench(theirs, tmp_path / "packed", tmp_path)
    assert not (tmp_path / "packed").exists()


def test_crops_of_other_formats_are_packed_as_rgb_png(theirs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "FF-DF/FF-real/c23/frames/071"
    image = crop()
    (folder / "000.png").write_bytes(mozcodec.encode(image, quality=95))  # a JPEG file by the name of .png
    cv2.imwrite(str(folder / "011.png"), np.dstack([image, image[..., 0]]))  # with an alpha channel
    summary = pack_deepfakebench(theirs, tmp_path / "out", root=tmp_path)
    assert "2 crops were not 8-bit RGB PNG files and were converted" in summary["remarks"]
    faces = {face.key: face for face in read_index(tmp_path / "out")}
    reader = ShardReader(tmp_path / "out")
    for frame, expected in (("0000", mozcodec.decode(mozcodec.encode(image, quality=95))), ("0011", image[..., ::-1])):
        data = bytes(reader.read(faces[f"c23/original/071/{frame}"], check=True))
        assert data.startswith(b"\x89PNG")
        assert (decode(data) == expected).all()


def test_crops_of_two_sizes_are_refused(theirs: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "FF-DF/FF-real/c23/frames/071/011.png"), crop(32))
    with pytest.raises(DataError, match=r"071/011\.png: is 32 x 32, other crops are 24 x 24"):
        pack_deepfakebench(theirs, tmp_path / "out", root=tmp_path)
    assert not (tmp_path / "out").exists()


def test_no_crop_at_all_ends_with_the_remedy(theirs: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "FF-DF")
    result = CliRunner().invoke(cli, ["pack", str(theirs), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "none of its 6 crops can be read, e.g. /home/they/data/FF-DF/" in result.output
    assert "No such file or directory; set --root to the folder that its paths are relative to" in result.output


def test_the_command_packs_and_prints_the_counts(theirs: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["pack", str(theirs), str(tmp_path / "out"), "--root", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-4:] == [
        "videos / faces     train     val    test     all",
        "identities             2       0       0       2",
        "original           2 / 4   0 / 0   0 / 0   2 / 4",
        "Deepfakes          1 / 2   0 / 0   0 / 0   1 / 2",
    ]


TIFFS = {"deflate": 8, "LZW": 5, "PackBits": 32773, "none": 1}


@pytest.mark.parametrize("packed", TIFFS)
def test_a_damaged_tiff_file_is_refused_where_its_strips_show_it(packed: str, tmp_path: Path) -> None:
    """OpenCV gives other pixels for them: of the damage here, for all files but those that are cut."""
    y, x = np.mgrid[:60, :70]
    image = np.dstack([x * 3, y * 4, x + y]).astype(np.uint8)
    if packed == "PackBits":
        image[:] = 7  # runs alone: of other pixels, most bytes are not coded
    options = [cv2.IMWRITE_TIFF_COMPRESSION, TIFFS[packed], cv2.IMWRITE_TIFF_ROWSPERSTRIP, 16]
    whole = cv2.imencode(".tiff", np.ascontiguousarray(image[..., ::-1]), options)[1].tobytes()
    path = tmp_path / "image.tiff"
    path.write_bytes(whole)
    assert np.array_equal(read_image(path), image)
    for end in range(8, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError):
            read_image(path)
    refused = 0
    places = range(8, 8 + (150 if packed == "PackBits" else 400), 3)
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:
            read_image(path)
        except DataError as error:
            refused += 1
            assert re.match(r"the TIFF file is damaged: strip \d of 4, at byte \d+, (has|is not) ", str(error))
    share = {"deflate": 1, "LZW": 0.2, "PackBits": 0.1, "none": 0}[packed]  # what is not refused cannot be told
    assert refused >= share * len(places)


def test_whole_tiff_files_of_other_programs_are_read() -> None:
    """Of Pillow's, whose strips, samples, byte orders and codes are libtiff's."""
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (37, 65, 3), np.uint8))
    number = 0
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F"):
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4", "lzma"):
            for rows, big in ((1, False), (7, True), (64, False)):
                data = io.BytesIO()
                try:
                    noise.convert(mode).save(data, "TIFF", compression=compression, tiffinfo={278: rows}, big_tiff=big)
                except (OSError, ValueError, RuntimeError):
                    continue  # not of this mode, or not in this build
                check_tiff(data.getvalue())
                number += 1
    assert number >= 100


def tiff(strips: list[bytes], shape: tuple[int, ...], compression: int, changed: dict[int, list[int]]) -> bytes:
    """Return a TIFF file of *strips*; *changed* are other values of tags, none for a tag that is left out."""
    height, width, samples = shape
    starts = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    tags = {256: [width], 257: [height], 258: [8] * samples, 259: [compression], 262: [2], 273: starts, 277: [samples]}
    tags |= {278: [8], 279: [len(strip) for strip in strips]} | changed
    body = b"".join(strips)
    entries = b""
    for tag, values in sorted((tag, values) for tag, values in tags.items() if values):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(packed) > 4:
            body, packed = body + packed, struct.pack("<I", 8 + len(body))
        entries += struct.pack("<HHI", tag, 4, len(values)) + packed
    return (
        b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    )


def lzw(data: bytes, end: bool = True) -> bytes:
    """Return the LZW codes, of 9 bits, of *data* byte by byte, with a clear code in time."""
    codes = [code for i in range(0, len(data), 200) for code in (256, *data[i : i + 200])] + [257] * end
    bits = "".join(f"{code:09b}" for code in codes)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data: bytes) -> bytes:
    return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))


def endless(data: bytes) -> bytes:
    stream = zlib.compressobj()
    return stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)


REVERSE = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))
ROWS_LEFT_OUT: dict[int, list[int]] = {278: []}
WRITERS: dict[str, tuple[int, Callable[[bytes], bytes], dict[int, list[int]]]] = {
    "LZW with one byte more, as Photoshop writes it": (5, lambda rows: lzw(rows + b"x"), {}),
    "LZW without an end": (5, lambda rows: lzw(rows, end=False), {}),
    "LZW, and other bytes behind it": (5, lambda rows: lzw(rows, end=False) + b"\xff" * 9, {}),
    "LZW, padded to full rows": (5, lambda rows: lzw(rows.ljust(8 * 13 * 3)), {}),
    "LZW with reversed bits": (5, lambda rows: lzw(rows).translate(REVERSE), {266: [2]}),
    "PackBits with reversed bits": (32773, lambda rows: packbits(rows).translate(REVERSE), {266: [2]}),
    "PackBits, and other bytes behind it": (32773, lambda rows: packbits(rows) + b"\x80\x05", {}),
    "deflate without an end": (8, endless, {}),
    "deflate without its checksum": (8, lambda rows: zlib.compress(rows)[:-4], {}),
    "deflate, padded to full rows": (8, lambda rows: zlib.compress(rows.ljust(8 * 13 * 3)), {}),
    "deflate, and other bytes behind it": (8, lambda rows: zlib.compress(rows) + b"more", {}),
    "more offsets than strips": (1, bytes, {273: [8, 320, 632, 0, 0], 279: [312, 312, 156, 0, 0]}),
    "one strip, its size too large": (1, bytes, {279: [10**9], 278: [20]}),
    "one strip, its size too small": (1, bytes, {279: [3], 278: [20]}),
    "sizes that differ from those of the rows": (1, bytes, {279: [194, 193, 20, 20], 278: [5]}),
    "one strip, rows left out": (5, lzw, ROWS_LEFT_OUT),
    "more rows in a strip than in the image": (5, lambda rows: lzw(rows + bytes(44 * 39)), {278: [64]}),
    "rows in a strip without limit": (8, zlib.compress, {278: [2**32 - 1]}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whole_tiff_files_that_libtiff_reads_over_are_read(writer: str, tmp_path: Path) -> None:
    """Of kinds found in files of Photoshop, GraphicConverter, scanners and others, or that libtiff's source allows."""
    compression, pack, changed = WRITERS[writer]
    image = np.random.default_rng(1).integers(0, 256, (20, 13, 3), np.uint8)
    rows = min(([*changed.get(278, [8]), 20])[0], 20)
    data = tiff([pack(image[i : i + rows].tobytes()) for i in range(0, 20, rows)], image.shape, compression, changed)
    path = tmp_path / "image.tiff"
    path.write_bytes(data)
    assert np.array_equal(read_image(path), image)


HOSTILE: dict[str, tuple[int, bytes, dict[int, list[int]]]] = {
    "2^30 tiles of one pixel": (5, b"x" * 99, {256: [1 << 15], 257: [1 << 15], 322: [1], 323: [1], 324: [8], 325: [9]}),
    "a width of 2^31": (5, b"x" * 99, {256: [1 << 31], 257: [1]}),
    "a bomb of deflate": (8, zlib.compress(bytes(1 << 26)), {}),
    "a bomb of LZW": (5, b"\x80\x00" + b"\xff" * 9999, {256: [1 << 14], 257: [1 << 14], 278: [1 << 14]}),
    "clear codes alone": (5, b"\x80\x40\x20\x10\x08\x04\x02\x01\x00" * 20000, {278: [20]}),
    "bits and samples without limit": (1, b"x" * 99, {258: [2**32 - 1], 277: [2**32 - 1], 278: [20]}),
    "strips that lie over each other": (
        8,
        zlib.compress(bytes(1 << 20)),
        {257: [2000], 273: [8 + i % 9 for i in range(2000)], 278: [1], 279: [900] * 2000},
    ),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_tiff_file_made_to_cost_memory_or_time_costs_little(attack: str) -> None:
    compression, strip, changed = HOSTILE[attack]
    data = tiff([strip], (20, 13, 3), compression, changed)
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            check_tiff(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
