"""Labels of conditions: keys, families, and the two conditions of the drop."""

import pytest

from evaluation.conditions import RESERVED, condition_key, condition_keys, encoder_quality, ends, family, quality, title

KEYS = {
    "raw": "raw",
    "77": "q77",
    "turbo:90": "turbo90",
    "moz:77/4:2:0": "moz77_420",
    "resize:0.5": "resize0_5",
    "scaled:16/77": "scaled16_77",
    "turbo:90>resize:0.5>moz:60": "turbo90_resize0_5_moz60",
    "a phone, shared twice": "a_phone__shared_twice",
    "gedämpft": "gedämpft",
}


@pytest.mark.parametrize(("condition", "key"), KEYS.items())
def test_keys_are_short_and_free_of_dots(condition, key):
    assert condition_key(condition) == key


def test_a_label_never_takes_one_of_our_own_keys():
    for name in RESERVED:
        assert condition_key(name) == f"condition_{name}"


def test_two_labels_with_one_key_are_refused():
    assert condition_keys(["raw", "77", "77"]) == {"raw": "raw", "77": "q77"}
    with pytest.raises(ValueError, match=r"'77' and 'q77' have the same key 'q77'"):
        condition_keys(["77", "q77"])


def test_a_family_differs_in_settings_only():
    assert {family(name) for name in ("77", "moz:60", "moz:77/4:2:0", "100")} == {"moz"}
    assert {family(name) for name in ("turbo:90>moz:60", "turbo:5>77")} == {"turbo>moz"}
    assert family("raw") == "raw"


def test_only_bare_integers_from_1_to_100_are_qualities():
    assert [quality(name) for name in ("1", "100", "0", "101", "077", "7.5", "raw", "turbo:77", "", "٧٧")] == [
        1, 100, *[None] * 8
    ]  # fmt: skip
    assert [title(name) for name in ("raw", "77", "turbo:77")] == ["uncompressed", "quality 77", "turbo:77"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["raw", "77", "60", "15", "10"], ("77", "10")),
        (["raw", "77", "60", "15", "10", "turbo:77", "turbo:60", "turbo:15", "turbo:10"], ("77", "10")),
        (["10", "raw", "77", "9", "60"], ("77", "9")),
        (["turbo:90", "raw", "turbo:50", "webp:50", "turbo:70"], ("turbo:90", "turbo:70")),
        (["raw", "77", "turbo:10"], ("77", "turbo:10")),
        (["raw", "phone", "laundered"], ("phone", "laundered")),
        (["raw", "77"], None),
        (["raw"], None),
        ([], None),
    ],
)
def test_the_drop_is_between_the_ends_of_the_first_family(conditions, expected):
    found = ends(conditions)
    assert (found and (found.high, found.low)) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("77", 77), ("turbo:60/4:2:0", 60), ("scaled:16/77", 77), ("turbo:90>resize:0.5>moz:60", 60),
        ("turbo:90>77", 77), ("webp:50", 50), ("raw", None), ("resize:0.5", None), ("moz:77>resize:0.5", None),
        ("scaled:16", None), ("mystery:3", None),
    ],
)  # fmt: skip
def test_the_quality_of_the_last_encoder_is_read_from_the_label(label, expected):
    assert encoder_quality(label) == expected
