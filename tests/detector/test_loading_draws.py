"""Random draws are functions of their keys."""

from __future__ import annotations

import numpy as np
from scipy import stats

from detector.loading.draws import key, splitmix64, uniform


def test_splitmix64_gives_the_published_numbers():
    # the first five outputs of the reference C code for the seed 1234567 (as listed on Rosetta Code)
    states = np.array([(1234567 + i * 0x9E3779B97F4A7C15) % 2**64 for i in range(5)], np.uint64)
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(states).tolist() == expected


def test_a_crops_draws_do_not_depend_on_other_crops():
    table = uniform(3, 7, [5, 6, 7, 8], 6)
    assert np.array_equal(uniform(3, 7, [7, 5], 6), table[[2, 0]])
    assert np.array_equal(uniform(3, 7, [5, 6, 7, 8], 2), table[:, :2])


def test_another_seed_step_crop_or_slot_gives_another_draw():
    tables = [uniform(seed, step, [0, 1], 4) for seed in (0, 1) for step in (0, 1)]
    assert len(np.unique(tables)) == 4 * 2 * 4


def test_draws_are_uniform_and_independent():
    table = uniform(1, 2, np.arange(20_000), 4)
    assert (table >= 0).all()
    assert (table < 1).all()
    assert all(stats.kstest(column, "uniform").pvalue > 0.001 for column in table.T)
    assert np.abs(np.corrcoef(table.T) - np.eye(4)).max() < 0.03
    # neighbouring crops, steps and seeds are independent
    for other in (uniform(1, 2, np.arange(1, 20_001), 4), uniform(1, 3, np.arange(20_000), 4)):
        assert abs(np.corrcoef(table[:, 0], other[:, 0])[0, 1]) < 0.03


def test_keys_depend_on_every_part_and_their_order():
    assert len({key(1, 2), key(2, 1), key(1), key(1, 2, 0), key(0, 1, 2), key(1, 3)}) == 6
    assert key(-1) == key(2**64 - 1)
