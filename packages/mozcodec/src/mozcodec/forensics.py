"""The history of a JPEG from its own data: the encoder that wrote it, its quality, earlier compressions, its metadata.

>>> from mozcodec import forensics
>>> found = forensics.identify(data)
>>> found.family, found.quality, found.exact
('libjpeg', (75.0, 75.0, 75.0), True)

Everything is computed from the bytes. The error rates are measured: docs/forensics.md says what each function returns
and how often it is wrong; ``packages/mozcodec/benchmarks/forensics.py`` measures them again.
"""

from ._forensics.content_credentials import ContentCredentials
from ._forensics.double import (
    BEYOND_ONE_THRESHOLD,
    SHIFTED_THRESHOLD,
    THRESHOLD,
    DoubleCompression,
    Luma,
    ShiftedCompression,
    double_compression,
    read_luma,
)
from ._forensics.encoder import Candidate, ComponentQuality, Identification, estimate_quality, identify
from ._forensics.ghosts import GHOSTS_THRESHOLD, Ghosts, ghosts
from ._forensics.grids import GRID_THRESHOLD, Grid, grid
from ._forensics.metadata import THUMBNAIL_THRESHOLD, Finding, MetadataReport, Thumbnail, metadata_report
from ._forensics.summary import report

__all__ = [
    "BEYOND_ONE_THRESHOLD",
    "GHOSTS_THRESHOLD",
    "GRID_THRESHOLD",
    "SHIFTED_THRESHOLD",
    "THRESHOLD",
    "THUMBNAIL_THRESHOLD",
    "Candidate",
    "ComponentQuality",
    "ContentCredentials",
    "DoubleCompression",
    "Finding",
    "Ghosts",
    "Grid",
    "Identification",
    "Luma",
    "MetadataReport",
    "ShiftedCompression",
    "Thumbnail",
    "double_compression",
    "estimate_quality",
    "ghosts",
    "grid",
    "identify",
    "metadata_report",
    "read_luma",
    "report",
]
