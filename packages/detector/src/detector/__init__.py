"""Deepfake-image detection that survives JPEG compression: videos to face crops, crops to models, models to scores.

Importing the package is fast; the code is in `detector.data`, `detector.models`, `detector.training`
and the commands of ``detector --help``.
"""

__version__ = "0.1.0"
