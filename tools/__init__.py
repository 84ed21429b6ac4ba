"""Development commands for this repository: ``python -m tools --help``. They are not part of any package."""
