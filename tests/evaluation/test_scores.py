"""Reading scores.csv, and averaging by video."""

import numpy as np
import pytest

from evaluation.scores import ScoresError, by_video, read


def test_written_scores_are_read_back(write_scores, rows_of):
    rows = rows_of(seed=3)
    scores = read(write_scores(rows=rows))
    assert len(scores) == len(rows)
    for column in ("key", "video", "method", "identity", "pair", "split", "condition"):
        assert getattr(scores, column).tolist() == [row[column] for row in rows]
    assert scores.score.tolist() == [float(row["score"]) for row in rows]       # bit by bit
    assert scores.label.tolist() == [row["label"] for row in rows]
    assert scores.conditions == ["raw", "77", "10"]
    assert scores.methods == ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"]
    assert scores.where(split="test").counts() == {"frames": 4 * 10 * 3, "videos": 4 * 10, "pairs": 4}


def test_other_columns_and_another_order_are_fine(write_scores, tmp_path):
    lines = write_scores().read_text().splitlines()
    turned = [",".join(["x", *line.split(",")[::-1]]) for line in lines]
    path = tmp_path / "turned.csv"
    path.write_text("\n".join(turned))
    assert read(path).key.tolist() == [line.split(",")[0] for line in lines[1:]]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("condition", " ", "column condition: ' ' is empty"),
        ("condition", "77\t", "column condition: '77\\t' is empty or holds control characters"),
        ("label", "2", "column label: '2' is neither 0"),
        ("label", "1.5", "column label: '1.5' is neither 0"),
        ("split", "dev", "column split: 'dev' is not one of train, val, test"),
        ("score", "1.5", "column score: '1.5' is not a probability in 0..1; apply a sigmoid to logits"),
        ("score", "", "column score: nan is not finite (1 of"),
        ("score", "high", "column score: 'high' is not a number"),
        ("frame", "first", "column frame: 'first' is not a number"),
        ("video", "", "column video: '' is empty"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_column(write_scores, rows_of, column, value, message):
    rows = rows_of()
    rows[7][column] = value
    with pytest.raises(ScoresError) as error:
        read(write_scores("bad.csv", rows=rows))
    assert message in str(error.value)
    assert "bad.csv, line 9" in str(error.value)


def test_a_missing_column_is_named(write_scores):
    path = write_scores()
    path.write_text(path.read_text().replace("label", "couple", 1))
    with pytest.raises(ScoresError, match=r"line 1: no column label.*name it with --column label=NAME"):
        read(path)


def test_an_empty_file_has_no_columns(tmp_path):
    path = tmp_path / "scores.csv"
    path.touch()
    with pytest.raises(ScoresError, match="is empty: it needs a line with the names"):
        read(path)


def test_a_short_row_is_named(write_scores):
    path = write_scores()
    path.write_text(path.read_text()[:-30])
    with pytest.raises(ScoresError, match=r"line 541: \d+ values for 11 columns; complete the file, or --allow"):
        read(path)


def test_a_binary_file_is_named(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_bytes(b"\xff\xd8\xff\x00weights")
    with pytest.raises(ScoresError, match=r"scores\.csv is not a CSV file in UTF-8"):
        read(path)


def test_a_face_twice_in_one_condition_is_named(write_scores, rows_of):
    rows = rows_of()
    with pytest.raises(ScoresError, match="c23/original/000/0000 in condition raw is already on line 2"):
        read(write_scores(rows=[*rows, rows[0]]))


@pytest.mark.parametrize(
    ("column", "value"), [("label", 1), ("split", "test"), ("pair", "000_009"), ("method", "Other")]
)
def test_a_video_that_changes_is_named(write_scores, rows_of, column, value):
    rows = rows_of()
    rows[1][column] = value
    with pytest.raises(ScoresError, match=f"line 3, column {column}: {value} for video original/000"):
        read(write_scores(rows=rows))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_scores_that_are_not_finite_are_refused_and_counted(write_scores, rows_of, value):
    rows = rows_of()
    rows[4]["score"] = rows[6]["score"] = value
    path = write_scores(rows=rows)
    message = rf"line 6, column score: {value} is not finite \(2 of {len(rows)} rows are not"
    with pytest.raises(ScoresError, match=message):
        read(path)
    allowed = read(path, allow_nan=True)
    assert (len(allowed), allowed.dropped) == (len(rows) - 2, 2)


def test_by_video_averages_the_frames_of_each_condition(write_scores, rows_of):
    rows = rows_of()
    videos = by_video(read(write_scores(rows=rows)))
    here = [float(row["score"]) for row in rows if row["video"] == "FaceSwap/005_004" and row["condition"] == "10"]
    found = videos[(videos.video == "FaceSwap/005_004") & (videos.condition == "10")]
    assert found.score.tolist() == pytest.approx([np.mean(here)])
    assert found.frame.tolist() == [3]
    assert len(videos) == len({(row["video"], row["condition"]) for row in rows})


def test_by_video_ignores_the_order_of_frames(scores_of):
    scores = scores_of(frames=5)
    order = np.random.default_rng(0).permutation(len(scores))
    for how in ("mean", "median", "mean_logit"):
        assert by_video(scores[order], how).score.tolist() == by_video(scores, how).score.tolist()


def test_one_name_under_four_methods_is_four_videos(scores_of):
    # DeepfakeBench groups by folder name alone and merges them: 280 groups of FaceForensics++'s 700
    scores = scores_of(pairs=2, val_pairs=0, conditions={"77": 1.0})
    names = {video.partition("/")[2] for video in scores.video}
    assert len(names) == 2 * 4                           # 2 pairs: two real names and two swapped ones each
    assert len(by_video(scores)) == 2 * 10


def test_one_video_at_two_compressions_is_two_averages(write_scores, rows_of):
    rows = rows_of(pairs=1, val_pairs=0)
    other = [{**row, "key": row["key"].replace("c23", "c40"), "compression": "c40"} for row in rows]
    both = read(write_scores(rows=rows + other))
    assert len(by_video(both)) == 2 * len(by_video(read(write_scores(rows=rows))))
    assert both.counts()["videos"] == 10                 # but still the same videos, and drawn together


def test_median_and_mean_logit_of_three_frames(write_scores, rows_of):
    rows = [row for row in rows_of(pairs=1, val_pairs=0) if row["video"] == "original/000" and row["condition"] == "77"]
    for row, score in zip(rows, ("0.2", "0.5", "0.9"), strict=True):
        row["score"] = score
    scores = read(write_scores(rows=rows))
    assert by_video(scores, "median").score.tolist() == [0.5]
    # odds 1/4, 1, 9: geometric mean (9/4)^(1/3)
    odds = (9 / 4) ** (1 / 3)
    assert by_video(scores, "mean_logit").score.tolist() == pytest.approx([odds / (1 + odds)])
    with pytest.raises(ValueError, match="how must be one of mean, median, mean_logit, got 'max'"):
        by_video(scores, "max")


def test_no_rows_have_no_videos(scores_of):
    none = scores_of()[:0]
    for how in ("mean", "median", "mean_logit"):
        assert len(by_video(none, how)) == 0
    assert none.conditions == []


def test_conditions_keep_the_order_of_their_first_appearance(write_scores):
    labels = {"turbo:90>resize:0.5": 1.0, "10": 1.0, "77": 1.0, "raw": 1.0, "webp:50": 1.0}
    scores = read(write_scores(conditions=labels))
    assert scores.conditions == list(labels)
    assert scores.where(split="test")[::-1].conditions == list(labels)
    assert by_video(scores).conditions == list(labels)


def old_rows(rows):
    """The rows as files of older versions have them: with the column quality."""
    return [{("quality" if name == "condition" else name): value for name, value in row.items()} for row in rows]


def test_a_file_with_the_column_quality_is_read_with_raw_first_and_then_from_high_to_low(write_scores, rows_of):
    rows = rows_of(conditions={"9": 1.0, "77": 1.0, "raw": 1.0, "100": 1.0})
    old, new = (read(write_scores(f"{name}.csv", rows=chosen)) for name, chosen in (("o", old_rows(rows)), ("n", rows)))
    assert old.conditions == ["raw", "100", "77", "9"]
    assert old.score.tolist() == new.score.tolist()
    assert old.condition.tolist() == new.condition.tolist()


@pytest.mark.parametrize("value", ["101", "077", "high", "turbo:90"])
def test_the_column_quality_holds_raw_or_1_to_100(write_scores, rows_of, value):
    rows = old_rows(rows_of())
    rows[7]["quality"] = value
    message = f"line 9, column quality: '{value}' is neither raw nor a JPEG quality 1..100; a column named condition"
    with pytest.raises(ScoresError, match=message):
        read(write_scores(rows=rows))


def test_two_conditions_with_one_key_are_refused(write_scores):
    with pytest.raises(ScoresError, match=r"'a:1' and 'a1' have the same key 'a1' in metrics.json; rename one"):
        read(write_scores(conditions={"a:1": 1.0, "a1": 1.0}))


def test_a_byte_order_mark_is_no_part_of_the_first_column(write_scores):
    path = write_scores()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path).key[0] == "c23/original/000/0000"
