"""A plugin of pytest that registers mozcodec.pillow for every JPEG that a suite saves and opens; see peer_suites.py.

Files are encoded as libjpeg-turbo would, or with ``MOZCODEC_PEER_MOZJPEG`` set as mozjpeg does by default. With
``MOZCODEC_PEER_OPTIMIZE`` set, each MPO file goes through :func:`mozcodec.optimize` before Pillow opens it.
"""

import io
import os
from typing import Any

from PIL import MpoImagePlugin

import mozcodec
import mozcodec.pillow

LIKE_LIBJPEG_TURBO = {"profile": "fastest", "quant_table": 0, "quant_baseline": True, "subsampling": "4:2:0"}

if os.environ.get("MOZCODEC_PEER_MOZJPEG"):
    mozcodec.pillow.register(default=True)
else:
    mozcodec.pillow.register(default=LIKE_LIBJPEG_TURBO)


if os.environ.get("MOZCODEC_PEER_OPTIMIZE"):
    _open = MpoImagePlugin.MpoImageFile._open

    def _open_optimized(self: Any) -> None:
        data = self.fp.read()
        try:
            self.fp = io.BytesIO(mozcodec.optimize(data))
        except mozcodec.JpegError:
            self.fp = io.BytesIO(data)
        _open(self)

    MpoImagePlugin.MpoImageFile._open = _open_optimized  # type: ignore[method-assign]
