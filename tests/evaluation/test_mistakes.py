"""One false alarm and one miss are found, with their images, in the crops or among other images."""

import io

import numpy as np
import pytest
from matplotlib.image import imsave

from evaluation import mistakes
from evaluation.files import FileError, Picture
from evaluation.scores import read


def png(shade):
    out = io.BytesIO()
    imsave(out, np.full((4, 4, 3), shade, np.uint8), format="png")
    return out.getvalue()


@pytest.fixture
def scores(rows_of, write_scores):
    """Three real faces and two fakes, of which two and one are wrong at .5."""
    found = {"a": (0, 0.9, 0.6), "b": (0, 0.7, 0.95), "c": (0, 0.1, 0.2), "d": (1, 0.4, 0.1), "e": (1, 0.8, 0.9)}
    rows = [
        {**rows_of(pairs=1)[0], "key": key, "video": f"v/{key}", "split": "test", "label": label, "condition": name,
         "score": score}
        for key, (label, *values) in found.items()
        for name, score in zip(("raw", "10"), values, strict=True)
    ]  # fmt: skip
    return read(write_scores(rows=rows))


@pytest.fixture
def crops(tmp_path):
    """A folder of packed crops: one file of five PNGs, each of another shade."""
    folder, data, lines = tmp_path / "faces", b"", ["key,shard,offset,size"]
    folder.mkdir()
    for number, key in enumerate("abcde"):
        lines.append(f"{key},faces-000.tar,{len(data)},{len(png(number * 40))}")
        data += png(number * 40)
    (folder / "faces-000.tar").write_bytes(data)
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_most_confident_errors_on_uncompressed_faces_are_shown(scores, crops):
    alarm, miss = mistakes.find(scores, 0.5, [], crops)
    assert (alarm.key, alarm.label, alarm.condition, alarm.shown, alarm.score) == ("a", 0, "raw", "raw", 0.9)
    assert (miss.key, miss.label, miss.condition, miss.score) == ("d", 1, "raw", 0.4)
    assert (alarm.picture.pixels[0, 0, 0], miss.picture.pixels[0, 0, 0]) == (0, 120)


def test_errors_under_compression_only_are_shown_uncompressed(scores, crops):
    (alarm, miss) = mistakes.find(scores[scores.condition != "raw"], 0.5, [], crops)
    assert (alarm.key, alarm.condition, alarm.shown) == ("b", "10", "raw")
    assert (miss.key, miss.condition, miss.shown) == ("d", "10", "raw")


def test_without_crops_the_images_of_other_stages_are_searched(scores):
    images = [(key, "10", Picture(b"", np.zeros((1, 1, 3), np.uint8))) for key in "abc"]
    (alarm,) = mistakes.find(scores, 0.5, images, None)
    assert (alarm.key, alarm.condition, alarm.shown) == ("b", "10", "10")
    assert mistakes.find(scores, 0.99, images, None) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a,faces", "x,faces", r"index\.csv: no crop a, which was scored: two runs are mixed; give the crops"),
        ("a,faces-000.tar,0", "a,faces-000.tar,7", r"faces-000\.tar: not a PNG file"),
        ("a,faces-000.tar,0", "a,faces-000.tar,many", r"index\.csv, line 2, column offset: expected a whole number"),
        ("a,faces-000.tar", "a,../secret.tar", r"secret\.tar: is outside the folder"),
    ],
)
def test_crops_of_another_run_and_damaged_ones_are_refused(scores, crops, old, new, message):
    path = crops / "index.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(FileError, match=message):
        mistakes.find(scores, 0.5, [], crops)
