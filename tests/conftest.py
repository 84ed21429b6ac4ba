"""Options of the whole suite: a time budget for the slow tests."""

from __future__ import annotations

import pytest

from detector.system import let_idle_threads_sleep

let_idle_threads_sleep()

left_out: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budget-minutes",
        type=float,
        default=None,
        help="of the tests marked slow(minutes=n), run what fits so many minutes, short ones first, and name the rest",
    )


def minutes(item: pytest.Item) -> float:
    """Return the declared minutes of a slow test."""
    marker = item.get_closest_marker("slow")
    return marker.kwargs.get("minutes", 2) if marker else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    budget = config.getoption("--budget-minutes")
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(60 * max(30, 15 * minutes(item))))
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left_out:
        terminalreporter.section("left out: more than the time budget")
        for line in left_out:
            terminalreporter.write_line(line)
