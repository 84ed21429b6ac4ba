"""A plug-in of imageio's v3 interface that reads and writes JPEG with mozcodec.

>>> import mozcodec.imageio
>>> image = iio.imread("in.jpg", plugin="mozcodec")
>>> iio.imwrite("out.jpg", image, plugin="mozcodec", quality=77)

The import makes the name known to imageio. Options are those of :func:`mozcodec.decode` and :func:`mozcodec.encode`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._containers import pictures
from ._decode import decode, read_header
from ._encode import encode
from ._options import DEFAULT_QUALITY

try:
    from imageio.config import known_plugins
    from imageio.config.plugins import PluginConfig
    from imageio.core.request import URI_BYTES, InitializationError, IOMode, Request
    from imageio.core.v3_plugin_api import ImageProperties, PluginV3
except ImportError as error:
    raise ImportError("mozcodec.imageio needs imageio: pip install 'mozcodec[imageio]'") from error

__all__ = ["MozcodecPlugin"]


class MozcodecPlugin(PluginV3):
    """Reads the images of a JPEG or MPO file, and writes one JPEG."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._images: list[bytes] = []
        if request.mode.io_mode == IOMode.read:
            data = request.get_file().read()
            if data[:2] != b"\xff\xd8":
                raise InitializationError("mozcodec reads JPEG only; this file does not begin as one")
            self._images = [bytes(part) for part in pictures(data)] or [data]

    def _numbers(self, index: Any) -> list[int]:
        if index is Ellipsis:
            return list(range(len(self._images)))
        number = 0 if index is None else int(index)
        if not 0 <= number < len(self._images):
            count = len(self._images)
            raise ValueError(f"index must be 0..{count - 1}: the file holds {count}, got {index}")
        return [number]

    def read(self, *, index: Any = None, pixel_format: str | None = None, **options: Any) -> NDArray[Any]:
        """Return the pixels of image *index* (default the first), or of all of them stacked for ``...``.

        *pixel_format* None is the file's own; *options* are those of :func:`mozcodec.decode`.
        """
        images = [decode(self._images[i], pixel_format, **options) for i in self._numbers(index)]
        if index is not Ellipsis:
            return images[0]
        if len({image.shape for image in images}) > 1:
            raise ValueError(f"images of different sizes cannot be stacked: {[image.shape for image in images]}")
        return np.stack(images)

    def iter(self, **options: Any) -> Iterator[NDArray[Any]]:
        """Yield the images of the file; *options* as in :meth:`read`."""
        for i in range(len(self._images)):
            yield self.read(index=i, **options)

    def write(
        self,
        ndimage: ArrayLike | list[ArrayLike],
        *,
        quality: Any = DEFAULT_QUALITY,
        is_batch: bool = False,
        **options: Any,
    ) -> bytes | None:
        """Write an image (H, W) or (H, W, 3); *quality* and *options* are those of :func:`mozcodec.encode`."""
        if is_batch or isinstance(ndimage, list | tuple):
            images = list(ndimage)  # type: ignore[arg-type]
            if len(images) != 1:
                raise ValueError(f"a JPEG file holds one image, got {len(images)}")
            ndimage = images[0]
        data = encode(ndimage, quality, **options)
        file = self.request.get_file()
        file.write(data)
        return data if self.request._uri_type == URI_BYTES else None

    def properties(self, index: Any = None) -> ImageProperties:
        """Return shape and type of what :meth:`read` returns, from the header."""
        numbers = self._numbers(index)
        header = read_header(self._images[numbers[0]])
        shape: tuple[int, ...] = header.shape
        if header.num_components > 1:
            shape = (*shape, header.num_components)
        if index is Ellipsis:
            shape = (len(numbers), *shape)
        return ImageProperties(
            shape=shape,
            dtype=np.dtype(np.uint8 if header.precision <= 8 else np.uint16),
            n_images=len(numbers) if index is Ellipsis else None,
            is_batch=index is Ellipsis,
            spacing=header.density[:2] if header.density else None,
        )

    def metadata(self, index: Any = None, exclude_applied: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return the header's facts and the metadata (``exif``, ``icc_profile``, ``xmp``, ``comments``) as bytes."""
        header = read_header(self._images[self._numbers(index)[0]])
        metadata = header.metadata
        names = [name for name in ("exif", "icc_profile", "xmp", "comments") if getattr(metadata, name, None)]
        facts = {"subsampling": header.subsampling, "progressive": header.progressive, "density": header.density}
        return {**facts, **{name: getattr(metadata, name) for name in names}}


known_plugins["mozcodec"] = PluginConfig(
    name="mozcodec", class_name="MozcodecPlugin", module_name="mozcodec.imageio", install_name="mozcodec"
)
