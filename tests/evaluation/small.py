"""A small table of scores, and the command line on it."""

import numpy as np
from click.testing import CliRunner

from evaluation.cli import main


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def small(rows=40, seed=0):
    """Labels and scores of a detector that works somewhat."""
    generator = np.random.default_rng(seed)
    label = np.arange(rows) % 2
    return label, np.clip(0.5 + 0.3 * (label - 0.5) + generator.normal(0, 0.2, rows), 0, 1)
