"""Errors that speak to the user. The command line prints their message without a traceback and exits with 1.

DetectorError
├── ConfigError   a value in params.yaml, named with its section and its range
└── DataError     a file or folder that is missing, damaged or not what it should be
"""


class DetectorError(ValueError):
    """Something the user can mend; the message names it and the way out."""


class ConfigError(DetectorError):
    """A parameter that is unknown, of the wrong type or out of range."""


class DataError(DetectorError):
    """A file or folder that is missing, damaged or not what it should be."""
