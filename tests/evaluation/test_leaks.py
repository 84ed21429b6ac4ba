"""What splits share: names, and crops that look the same."""

import numpy as np
import pytest

from evaluation.leaks import BITS, Found, distances, hashes, near_duplicates, search, shared


def cosine_transform(image):
    """The two-dimensional DCT-II of a square image by its definition, without any scaling."""
    n = len(image)
    waves = np.array([[np.cos(np.pi * k * (2 * i + 1) / (2 * n)) for i in range(n)] for k in range(n)])
    return waves @ image @ waves.T


def pictures(number, seed=0):
    """Random images of 32 x 32."""
    return np.random.default_rng(seed).uniform(0, 255, (number, 32, 32))


def bits_of(words):
    return np.unpackbits(words.view(np.uint8), axis=1).astype(bool)


def test_the_hash_is_the_signs_of_the_lowest_coefficients():
    images = pictures(5)
    found, valid = hashes(images)
    expected = np.array([(cosine_transform(image)[:16, :16] > 0).ravel() for image in images])
    expected[:, 0] = False
    np.testing.assert_array_equal(bits_of(found), expected)
    assert valid.all()


def test_distances_count_the_bits_that_differ():
    found, _ = hashes(pictures(40))
    mirrored, _ = hashes(pictures(40)[:, :, ::-1])
    one, other = bits_of(found), bits_of(mirrored)
    expected = np.minimum(
        (one[:, None] != one[None]).sum(axis=2), (one[:, None] != other[None]).sum(axis=2)
    )
    np.testing.assert_array_equal(distances(found, found), expected)
    assert expected.max() <= BITS


def test_a_mirrored_image_is_the_same_and_an_upside_down_one_is_not():
    images = pictures(10)
    found, _ = hashes(images)
    assert np.diag(distances(hashes(images[:, :, ::-1])[0], found)).max() == 0
    assert np.diag(distances(hashes(images[:, ::-1])[0], found)).min() > 60


def test_a_little_noise_and_other_light_stay_near():
    images = pictures(10)
    changed = 0.7 * images + 20 + np.random.default_rng(1).normal(0, 4, images.shape)
    assert np.diag(distances(hashes(changed)[0], hashes(images)[0])).max() <= 24


def test_a_uniform_image_has_no_hash():
    _, valid = hashes(np.stack([np.full((32, 32), 90.0), pictures(1)[0]]))
    assert valid.tolist() == [False, True]
    with pytest.raises(ValueError, match="32, 32"):
        hashes(np.zeros((2, 8, 8)))


def test_crop_pairs_between_splits_and_within_them_are_counted():
    """0 = 3 (a leak), 1 = 2 (different people of one split: a false alarm), 4 = 5 (one person), 6 has no hash."""
    base = pictures(4)
    images = np.stack([base[0], base[1], base[1], base[0], base[2], base[2], np.zeros((32, 32))])
    split = np.array(["train"] * 3 + ["test"] * 4)
    pair = np.array(["a", "b", "c", "d", "e", "e", "a"])
    found = near_duplicates(*hashes(images), split, pair, limit=8)
    assert found.pairs == [(0, 0, 3)]
    assert (found.num_near, found.num_compared) == (1, 3 * 3)
    assert (found.num_false, found.num_different) == (1, 3 + 2)
    assert found.expected == 9 / 5
    assert not found.is_leak                       # no more than false alarms explain
    assert near_duplicates(*hashes(images[[0, 3, 4]]), split[[0, 3, 4]], pair[[0, 3, 4]], limit=8).is_leak


def test_the_search_finds_what_all_distances_say():
    draw = np.random.default_rng(2)
    one = draw.integers(0, 1 << 63, (300, 4), dtype=np.uint64)
    bits = bits_of(one[:200]) ^ (draw.random((200, 256)) < np.linspace(0, 0.2, 200)[:, None])
    bits[::2] ^= np.arange(256) % 2 == 1                                  # every other one is mirrored
    other = np.packbits(bits, axis=1).view(np.uint64)
    every = distances(one, other)
    found = search(one, other, 24, 1000)
    assert found.pairs == sorted((int(every[i, j]), int(i), int(j)) for i, j in np.argwhere(every <= 24))
    assert 50 < found.number == len(found.pairs) < 200
    assert search(one, other, 24, 3) == Found(found.number, found.pairs[:3])


def test_blocks_do_not_change_the_counts(monkeypatch):
    images = np.concatenate([pictures(30), pictures(30, seed=0)[:5]])
    split = np.array(["train"] * 20 + ["val"] * 10 + ["test"] * 5)
    pair = np.arange(35).astype(str)
    expected = near_duplicates(*hashes(images), split, pair, limit=100)
    for size in ("SEARCHED", "ROWS", "COLUMNS"):
        monkeypatch.setattr(f"evaluation.leaks.{size}", {"SEARCHED": 7, "ROWS": 2, "COLUMNS": 3}[size])
    assert near_duplicates(*hashes(images), split, pair, limit=100) == expected
    assert expected.pairs[:5] == [(0, i, 30 + i) for i in range(5)]
    assert expected.num_compared == 20 * 10 + 30 * 5


def test_names_in_two_splits_are_named_with_an_item_of_each():
    names = [["anna", "ben"], ["anna"], ["carl"], ["carl"], []]
    found = shared(names, ["train", "test", "val", "val", "test"], ["1", "2", "3", "4", "5"])
    assert [(one.name, one.items) for one in found] == [("anna", {"train": "1", "test": "2"})]


def test_crops_of_which_none_has_a_hash_have_no_near_duplicates() -> None:
    hashed, valid = hashes(np.full((4, 32, 32), 7.0))
    assert not valid.any()
    found = near_duplicates(hashed, valid, np.array(["train", "test"] * 2), np.array(list("abcd")), 10)
    assert (found.num_compared, found.num_near, found.pairs) == (0, 0, [])
