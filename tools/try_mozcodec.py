"""Encode an image with the installed mozcodec and compare its two engines: ``make try-mozcodec``."""

import numpy as np

import mozcodec

image = np.resize(np.arange(251, dtype=np.uint8), (64, 64, 3))
data = mozcodec.encode(image, quality=77)
if data != mozcodec.encode(image, quality=77, engine="library"):
    raise SystemExit("try-mozcodec: the fast engine does not write the library's bytes")
if mozcodec.decode(data).shape != image.shape:
    raise SystemExit("try-mozcodec: the decoded image has another size")
print(mozcodec.build_info())
