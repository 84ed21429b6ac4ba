"""Columns of text stored as codes behave as the array of strings that they stand for."""

import numpy as np
import pytest

from evaluation.text import Text

WORDS = ["b", "a", "", "b", "c d", "a"]


def test_a_column_is_its_array_of_strings():
    text, array = Text.of(WORDS), np.array(WORDS)
    assert (len(text), list(text), text.tolist(), text[4], text[-1]) == (6, WORDS, WORDS, "c d", "a")
    assert repr(text) == "Text(6 rows, 4 names)"
    assert Text.of(text) is text
    for rows in (slice(1, 4), np.array([5, 0]), array == "b"):
        assert text[rows].tolist() == array[rows].tolist()
    assert np.asarray(text).dtype.kind == "U"
    assert np.asarray(text, dtype=object).tolist() == WORDS
    assert list(Text.constant("x", 3)) == ["x"] * 3


@pytest.mark.parametrize("other", ["b", "missing", "", WORDS[::-1], Text.of(WORDS[::-1]), Text.of(["z"] * 6)])
def test_comparing_gives_what_the_arrays_give(other):
    array = np.array(WORDS)
    expected = array == (other if isinstance(other, str) else np.asarray(other))
    assert (Text.of(WORDS) == other).tolist() == expected.tolist()
    assert (Text.of(WORDS) != other).tolist() == (~expected).tolist()


def test_columns_that_share_their_names_compare_their_rows():
    text = Text.of(WORDS)
    assert (text[:3] == text[3:]).tolist() == [True, False, False]


def test_a_column_of_no_rows_has_no_names():
    empty = Text.of([])
    assert (len(empty), list(empty), (empty == "a").tolist(), empty.num()) == (0, [], [], 0)
