"""Messages show values as JSON and YAML have them."""

import datetime

import pytest

from evaluation.values import shown

DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]
ENDLESS: dict = {}
ENDLESS["x"] = ENDLESS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (0.5, "0.5"),
        (float("nan"), "nan"),
        ("x", "'x'"),
        ("it's \"x\" \\ y", "'it's \"x\" \\ y'"),
        ("ä\n\0\x1b", "'ä\\n\\x00\\x1b'"),
        ("\ud800", "'\\ud800'"),
        ([None, "a"], '[null, "a"]'),
        ((1, False), "[1, false]"),
        ({"x": [1, None]}, '{"x": [1, null]}'),
        (datetime.date(2026, 11, 29), '"2026-11-29"'),
        ("x" * 100, f"'{'x' * 59}..."),
        (DEEP, "a list that cannot be shown"),
        (ENDLESS, "a mapping that cannot be shown"),
        (10**5000, "a number that cannot be shown"),
    ],
    ids=lambda value: None if isinstance(value, str) else "value",
)
def test_a_value_is_shown_as_json_has_it(value: object, text: str) -> None:
    assert shown(value) == text
