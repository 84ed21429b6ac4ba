"""Mutated streams under AddressSanitizer and UndefinedBehaviorSanitizer: no report."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.mark.slow(minutes=2)
@pytest.mark.timeout(1800)
def test_five_thousand_mutated_streams_make_no_report():
    """1,000 of each target, or those that are not done yet for this state of the sources. ``make fuzz``: a million."""
    command = [sys.executable, str(PACKAGE / "fuzz" / "run.py"), "--streams", "5000", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    counts = dict(re.findall(r"^(\w+) +(\d+) streams", done.stdout, re.M))
    assert set(counts) == {"header", "decode", "coefficients", "smartscale", "optimize"}
    assert all(int(count) >= 1_000 for count in counts.values())
