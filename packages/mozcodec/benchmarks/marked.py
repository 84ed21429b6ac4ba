"""What benchmarks write into documents: text between the marks of a program, and the commit."""

import re
import subprocess
from pathlib import Path


def put(page: Path, program: str, text: str) -> None:
    """Replace what *program* wrote into *page*; the rest stays."""
    begin, end = f"<!-- written by {program} -->", f"<!-- end of what {program} wrote -->"
    before = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    after, count = pattern.subn(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", before)
    if count != 1:
        raise SystemExit(f"{page} must have the marks {begin} and {end} once, has them {count} times")
    page.write_text(after, encoding="utf-8")


def commit() -> str:
    """Return the commit of these programs, with "-dirty" if files have changed since."""
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
