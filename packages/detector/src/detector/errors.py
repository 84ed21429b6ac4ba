"""Errors that the user can fix. The command line prints their message without a traceback and exits with 1.

DetectorError
├── ConfigError      a value in params.yaml, named with its section and its range
├── DataError        a file or folder that is missing, damaged or of the wrong form
├── ExhaustedError   descriptors or memory of the machine have run out
└── ListedError      several problems, one a line; the message of any other error is one line
"""


class DetectorError(ValueError):
    """A problem that the user can fix; the message names it and the remedy."""


class ConfigError(DetectorError):
    """A parameter that is unknown, of the wrong type or out of range."""


class DataError(DetectorError):
    """A file or folder that is missing, damaged or not what it should be."""


class ExhaustedError(DetectorError):
    """Descriptors or memory have run out: the fault of no file, so a file is never listed as unreadable for it."""


class ListedError(DetectorError):
    """Several problems, each on a line of the message."""
