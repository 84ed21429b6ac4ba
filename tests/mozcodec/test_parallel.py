"""Series in threads: order, how far they run ahead, failures, and series that are not finished."""

import hashlib
import os
import subprocess
import sys
import threading
import time

import pytest

import mozcodec
from mozcodec import _parallel
from mozcodec._parallel import ordered_map


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_however_long_each_takes(threads: int) -> None:
    def slow_when_even(n: int) -> int:
        time.sleep(0.002 * (n % 2 == 0))
        return n * n

    assert list(ordered_map(slow_when_even, range(40), threads)) == [n * n for n in range(40)]


def test_at_most_two_items_a_thread_are_taken_ahead() -> None:
    taken: list[int] = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    series = ordered_map(lambda n: n, items(), 3)
    for given in range(20):
        assert next(series) == given
        assert len(taken) <= given + 1 + 2 * 3
    series.close()


def test_a_failure_stands_where_its_result_would_and_ends_the_series() -> None:
    begun: list[int] = []

    def work(n: int) -> int:
        begun.append(n)
        if n == 5:
            raise ValueError("five")
        return n

    series = ordered_map(work, range(1000), 2)
    assert [next(series) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(series)
    assert max(begun) <= 5 + 2 * 2
    assert next(series, None) is None


def test_a_failing_source_fails_in_the_caller_and_its_threads_end() -> None:
    def items():
        yield 1
        raise OSError("no more")

    before = threading.active_count()
    with pytest.raises(OSError, match="no more"):
        list(ordered_map(lambda n: n, items(), 4))
    assert threading.active_count() == before


def test_a_series_that_is_left_half_way_does_not_keep_the_process() -> None:
    script = (
        "import mozcodec, numpy as np\n"
        "series = mozcodec.encode_many([np.zeros((600, 600, 3), np.uint8)] * 50, threads=2)\n"
        "print(len(next(series)) > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_series_is_closed_after_the_modules_are_gone(small, monkeypatch) -> None:
    """As free-threaded Python does at exit: the pools are stopped, then modules are emptied, then generators closed."""
    series = mozcodec.encode_many([small] * 20, threads=2)
    next(series)
    _parallel._stop_pools()
    monkeypatch.setattr(_parallel, "os", None)
    series.close()


@pytest.mark.alone
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_child_and_parent_go_on_after_a_fork_while_a_pool_works(small):
    """Neither series loses a file: the child has none of the threads and starts its own."""
    qualities = range(20, 60)
    files = [mozcodec.encode(small, quality) for quality in qualities]
    pixels = [mozcodec.decode(data).tobytes() for data in files]
    for wanted, series in (
        ([mozcodec.encode(small, 50)] * 40, mozcodec.encode_many((small for _ in range(40)), 50, threads=3)),
        (files, (point.data for point in mozcodec.sweep(small, qualities, threads=3))),
        (pixels, ordered_map(lambda quality: mozcodec.recompress(small, quality).tobytes(), qualities, 3)),
    ):
        first = [next(series) for _ in range(5)]
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            rest = b"".join(series)
            os.write(writer, hashlib.sha256(b"".join(first) + rest).digest())
            os._exit(0)
        ours = hashlib.sha256(b"".join(first) + b"".join(series)).digest()
        os.close(writer)
        theirs = os.read(reader, 32)
        os.close(reader)
        assert os.waitpid(child, 0)[1] == 0
        assert ours == theirs == hashlib.sha256(b"".join(wanted)).digest()
