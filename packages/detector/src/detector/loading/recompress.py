"""MozJPEG as augmentation: some crops of a batch are encoded once more, at a drawn quality, by the loading threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

import mozcodec

from ..config import AugmentConfig, CompressConfig
from .augment import JPEG, QUALITY, SLOTS
from .draws import uniform

__all__ = ["Recompress"]


class Recompress:
    """Encodes and decodes a crop with probability ``config.jpeg``, at one of ``config.jpeg_qualities``.

    *compress* holds the encoder's other settings. The search for the best scans is left out: it changes how many bytes
    there are, not what they decode to, and takes a third of the time.
    """

    def __init__(self, config: AugmentConfig, compress: CompressConfig, seed: int, threads: int = 1):
        self.config, self.options, self.seed, self.threads = config, compress.options(), seed, threads

    def __call__(self, step: int, ids: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Change *images* (N, H, W, 3) in place, those whose draws at *step* say so."""
        draws = uniform(self.seed, step, ids, SLOTS)
        chosen = np.flatnonzero(draws[:, JPEG] < self.config.jpeg).tolist()
        qualities = self.config.jpeg_qualities

        def squeeze(i: int) -> None:
            quality = qualities[int(draws[i, QUALITY] * len(qualities))]
            data = mozcodec.encode(images[i], quality=quality, optimize_scans=False, **self.options)
            images[i] = mozcodec.decode(data)

        if self.threads == 1:
            for i in chosen:
                squeeze(i)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(squeeze, chosen))
