"""JPEG compression as a transform of torchvision v2.

>>> jpeg = mozcodec.torch.JPEG(quality=(30, 95), generator=torch.Generator().manual_seed(1))
>>> jpeg(images)                                    # (N, C, H, W) uint8: every image has its own quality
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ._decode import decode
from ._encode import encode
from ._mozjpeg import lib
from ._options import encode_options
from ._parallel import num_threads
from ._recompress import Batch, is_interleaved, is_planar, recompress

try:
    import torch
    from torchvision import tv_tensors
    from torchvision.transforms import v2
except ImportError as error:
    raise ImportError("mozcodec.torch needs torch and torchvision: pip install 'mozcodec[torch]'") from error
except RuntimeError as error:  # a torchvision built for CUDA beside a torch for the CPU
    raise ImportError(
        f"mozcodec.torch needs a torchvision built for the installed torch ({error}): install both from the same index"
    ) from error

__all__ = ["ENCODERS", "JPEG"]

ENCODERS: dict[str, Mapping[str, Any]] = {
    "turbo": {"profile": "fastest", "quant_table": 0, "quant_baseline": True, "subsampling": "4:2:0"},
    "mozjpeg": {},
}
"""The encoders that have a name, as options of :func:`mozcodec.encode`."""


def _range(quality: int | Sequence[int]) -> tuple[int, int]:
    given = (quality, quality) if isinstance(quality, int | np.integer) else quality
    pair = tuple(given) if isinstance(given, Sequence | np.ndarray) else ()
    if len(pair) == 2 and all(isinstance(q, int | np.integer) and not isinstance(q, bool) for q in pair):
        low, high = (int(q) for q in pair)
        if 1 <= low <= high <= 100:
            return low, high
    raise ValueError(f"quality must be an integer 1..100, or (low, high) of them, got {quality!r}")


def _options(encoder: str | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(encoder, Mapping):
        if not isinstance(encoder, str) or encoder not in ENCODERS:
            raise ValueError(f"encoder must be {' or '.join(ENCODERS)}, or options of encode, got {encoder!r}")
        encoder = ENCODERS[encoder]
    for name in ("quality", "distance"):
        if name in encoder:
            raise ValueError(f"encoder cannot have {name}: the transform chooses the quality")
    if encoder.get("precision", 8) != 8:
        raise ValueError(f"encoder cannot have precision {encoder['precision']}: images have 8 bits")
    encode_options(75, encoder)  # raise for wrong options here, not at the first image
    return dict(encoder)


def _strides(images: torch.Tensor) -> tuple[int, int, int, int]:
    """Return the strides of *images* (C, H, W) or (N, C, H, W) in the order N, H, W, C."""
    *n, c, h, w = images.stride()
    return (n[0] if n else 0), h, w, c


def _remedy(image: Any) -> str:
    """Return what makes *image*, which `JPEG` refuses, one that it takes, if there is such a thing."""
    if image.ndim >= 3 and image.shape[-3] == 4:
        return ": drop alpha with image[..., :3, :, :]"
    if image.dtype.is_floating_point:
        return ": put it before v2.ToDtype(torch.float32, scale=True), or v2.ToDtype(torch.uint8, scale=True) before it"
    return ""


class JPEG(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Compress images to JPEG and decompress them.

    Takes what transforms of torchvision v2 take: uint8 tensors (..., C, H, W) with C = 1 or 3 in the CPU's memory,
    ``tv_tensors.Image`` and ``Video``, images of Pillow (L and RGB), and structures of these with labels, boxes and
    masks, which pass. Arrays of NumPy pass, too, as through the transforms of torchvision: ``v2.ToImage`` makes images
    of them. The result has the input's type and shape; its memory is channels-last, as that of torchvision's
    ``decode_jpeg``, and such inputs are not copied.

    *quality* is an integer 1..100, or (low, high), from which a quality is drawn uniformly, both ends included; every
    image of a batch has its own. Images of one sample that are passed together (two views) have the same. The draws
    are those of *generator*, by default torch's global one: the same state gives the same qualities and pixels. A
    single quality draws nothing.

    *encoder* is "turbo" (default: the pixels of libjpeg-turbo, Pillow and torchvision at 4:2:0), "mozjpeg" (mozcodec's
    default: trellis quantization, subsampling by quality), or options of :func:`mozcodec.encode`. *threads* encode a
    batch; the default 1 suits the worker processes of a ``DataLoader``, None uses the cores of this process.
    """

    def __init__(
        self,
        quality: int | Sequence[int],
        *,
        encoder: str | Mapping[str, Any] = "turbo",
        generator: torch.Generator | None = None,
        threads: int | None = 1,
    ) -> None:
        super().__init__()
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"generator must be a torch.Generator or None, got {generator!r}")
        self.quality = _range(quality)
        self.encoder = encoder
        self.generator = generator
        self.threads = num_threads(threads)
        self._encode_options = _options(encoder)
        self._gray_options = {k: v for k, v in self._encode_options.items() if k != "subsampling"}

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw a quality for each image of the largest batch."""
        counts = [value.shape[:-3].numel() if isinstance(value, torch.Tensor) else 1 for value in flat_inputs]
        low, high = self.quality
        number = max(counts, default=0)
        if low == high:
            return {"qualities": [low] * number}
        return {"qualities": torch.randint(low, high + 1, (number,), generator=self.generator).tolist()}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return *inpt* after compression at the qualities of :meth:`make_params`."""
        qualities = params["qualities"]
        if not isinstance(inpt, torch.Tensor):
            return self._transform_pillow(inpt, qualities[0])
        if isinstance(inpt, tv_tensors.TVTensor) and not isinstance(inpt, tv_tensors.Image | tv_tensors.Video):
            return inpt  # boxes, masks and key points have no pixels
        if inpt.dtype != torch.uint8 or inpt.ndim < 3 or inpt.shape[-3] not in (1, 3):
            given = f"{inpt.dtype} {tuple(inpt.shape)}{_remedy(inpt)}"
            raise TypeError(f"JPEG takes uint8 (..., 1 or 3, H, W), got {given}")
        if inpt.device.type != "cpu":
            raise TypeError(f"JPEG takes tensors in the memory of the CPU, this one is on {inpt.device}: use .cpu()")
        plain = inpt if type(inpt) is torch.Tensor else inpt.as_subclass(torch.Tensor)
        *batch, channels, height, width = plain.shape
        out = torch.empty((*batch, height, width, channels), dtype=torch.uint8)
        if out.numel():
            self._compress(plain, qualities, out)
        out = out.permute(2, 0, 1) if plain.ndim == 3 else out.movedim(-1, -3)
        return out if plain is inpt else tv_tensors.wrap(out, like=inpt)

    def forward(self, *inputs: Any) -> Any:
        """Return *inputs* with the images in them compressed."""
        if len(inputs) == 1 and type(inputs[0]) is torch.Tensor:  # nothing to search for images
            return self.transform(inputs[0], self.make_params([inputs[0]]))
        return super().forward(*inputs)

    def _compress(self, images: torch.Tensor, qualities: list[int], out: torch.Tensor) -> None:
        """Write *images* (..., C, H, W) after compression to *out* (..., H, W, C)."""
        if images.ndim > 4:
            images = images.reshape(-1, *images.shape[-3:])
        channels, height, width = images.shape[-3:]
        number = 1 if images.ndim == 3 else len(images)
        shape, strides = (number, height, width, channels), _strides(images)
        if not (is_interleaved(shape, strides) or is_planar(shape, strides)):
            images = images.contiguous()
            strides = _strides(images)
        options, code = (self._gray_options, lib.MZC_GRAY) if channels == 1 else (self._encode_options, lib.MZC_RGB)
        settings = [encode_options(quality, options) for quality in qualities[:number]]
        batch = Batch(images.data_ptr(), shape, strides, out.data_ptr(), code)

        def through_file(i: int) -> None:
            pixels = (images if images.ndim == 3 else images[i]).permute(1, 2, 0).contiguous().numpy()
            result = out.view(shape)[i].numpy()
            format_, target = ("gray", result[..., 0]) if channels == 1 else ("rgb", result)
            decode(encode(pixels, qualities[i], **options), format_, out=target)

        threads = min(self.threads, number)
        if threads == 1:
            batch.recompress(settings, 0, number, through_file)
            return
        bounds = [number * i // threads for i in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda k: batch.recompress(settings, bounds[k], bounds[k + 1], through_file), range(threads)))

    def _transform_pillow(self, image: Any, quality: int) -> Any:
        if image.mode not in ("L", "RGB"):
            raise TypeError(f"JPEG takes images of Pillow in mode L or RGB, got {image.mode}: use .convert('RGB')")
        from PIL import Image

        pixels = np.asarray(image)
        options = self._gray_options if image.mode == "L" else self._encode_options
        return Image.fromarray(recompress(pixels, quality, **options))
