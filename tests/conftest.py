"""Options of the whole suite: a time budget for the slow tests, an order and limits for several processes."""

from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Generator
from itertools import zip_longest
from typing import Any

import pytest

from evaluation.threads import KERNELS, let_idle_threads_sleep

let_idle_threads_sleep()

CLONE = [f"tests/pipeline/test_{name}.py" for name in ("repro", "trace", "experiments")]
# with several processes, folders of long files begin and one of many short files ends: no process is idle for long
ORDER = ("pipeline", "tools", "mozcodec", "detector", "evaluation")
MOST_MINUTES = 60  # of all tests marked slow

left_out: list[str] = []
renamed: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budget-minutes",
        type=float,
        default=None,
        help="of the tests marked slow(minutes=n), run what fits so many minutes, short ones first, and name the rest",
    )
    parser.addoption("--trials", action="store_true", help="also run the tests marked trial(minutes=n): make trials")


def pytest_configure() -> None:
    """Let processes that tests start be interrupted, also where a shell started this one in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # their programs would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)


def minutes(item: pytest.Item) -> float:
    """Return the declared minutes of a slow test or a trial."""
    marker = item.get_closest_marker("slow") or item.get_closest_marker("trial")
    return marker.kwargs["minutes"] if marker else 0


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument and a number: compressed or encoded bytes can have the time of day in them."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Undo what commands called in this process set for NumPy: later programs would sum otherwise than it does."""
    before = {name: os.environ.get(name) for name in KERNELS}
    try:
        return (yield)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected, and later none among what is there then: each pass took 0.5 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if unstable := [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]{6,}", item.nodeid)]:
        raise pytest.UsageError(f"{unstable[0]}: the name has an address, which differs in every process; give ids")
    total_slow = sum(minutes(item) for item in items if item.get_closest_marker("slow"))
    # not in the processes of xdist, which would end with an internal error
    if total_slow > MOST_MINUTES and not hasattr(config, "workerinput"):
        raise pytest.UsageError(
            f"the tests marked slow declare {total_slow:g} minutes, at most {MOST_MINUTES} are allowed: make them "
            "cheaper, or mark a whole trial of which they have a part as trial(minutes=n)"
        )
    trials = [item for item in items if item.get_closest_marker("trial")]
    if trials and not config.getoption("--trials"):
        config.hook.pytest_deselected(items=trials)
        items[:] = [item for item in items if not item.get_closest_marker("trial")]
    budget = config.getoption("--budget-minutes")
    for item in items:
        if minutes(item) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(60 * max(30, 15 * minutes(item))))
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=lambda item: ORDER.index(item.path.parent.name))
    if budget is None:
        return
    fits, total = [], 0.0
    for item in sorted(items, key=minutes):
        total += minutes(item)
        if total <= budget:
            fits.append(item)
        else:
            left_out.append(f"{item.nodeid} ({minutes(item):g} min)")
    config.hook.pytest_deselected(items=[item for item in items if item not in fits])
    items[:] = fits


def differing_names(collections: list[list[str]]) -> list[str]:
    """Return the names that only some processes collected, if at each position all of them have a test of one file.

    End the run with status 2 otherwise: no failed test is known that `make test` could repeat.
    """
    for names in zip_longest(*collections, fillvalue="no test"):
        if len({name.partition("::")[0] for name in names}) > 1:
            pytest.exit(
                f"the processes collected different tests: {' and '.join(names)} are at one position; "
                "compare two runs of pytest --collect-only -q",
                returncode=2,
            )
    return sorted(set().union(*collections).difference(set.intersection(*map(set, collections))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process, for the fixtures that they share; those of `CLONE` share one.

    xdist refuses to start if the names of two processes differ. A name can have a time or a path in it; tests are sent
    by their position, so the names of the first process do for all.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def schedule(self) -> None:
            if self.collection is None:
                collections = list(self.registered_collections.values())
                renamed.extend(differing_names(collections))
                for node in self.registered_collections:
                    self.registered_collections[node] = collections[0]
            super().schedule()

        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "clone" if file in CLONE else file

    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left_out:
        terminalreporter.section("left out: more than the time budget")
        for line in left_out:
            terminalreporter.write_line(line)
    if renamed:
        terminalreporter.section("names that differ between two processes: give ids")
        for name in renamed:
            terminalreporter.write_line(name)
