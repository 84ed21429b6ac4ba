"""Commands for work on this repository: ``python -m tools --help``. No package installs them."""
