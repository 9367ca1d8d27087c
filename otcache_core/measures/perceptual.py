"""Distances between images: LPIPS, SSIM and PSNR, the measures of the OTCache paper.

All take two batches of images in the layout of ComfyUI, with values from zero to one, and return
one number for each image, on the device of the first batch. A video is the batch of its frames:
it gives one number for each frame, and the caller takes the mean.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import OTCacheError
from .lpips_weights import TRUNKS, find_trunk, load_network

_CHUNK_PIXELS = 2**20
_SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_K1 = 0.01
_SSIM_K2 = 0.03


def _check_layout(name: str, batch: Tensor) -> None:
    shape = tuple(batch.shape)
    if batch.ndim != 4 or 0 in shape:
        raise OTCacheError(
            f"{name} must be a non-empty batch (N, H, W, 3) but has shape {shape}; "
            "pass a video as its frames, a single image as a batch of one"
        )
    if shape[-1] != 3:
        remedy = {
            1: "repeat its grey channel three times",
            4: f"drop its alpha channel: {name}[..., :3]",
        }.get(shape[-1], "channels come last, in the order red, green, blue")
        raise OTCacheError(f"{name} must have 3 channels but has shape {shape}; {remedy}")
    if not batch.is_floating_point():
        raise OTCacheError(
            f"{name} must be floating point in [0, 1] but is {batch.dtype}; divide by 255"
        )


def _check(image: Tensor, reference: Tensor, *, minimum_size: int, measure: str) -> None:
    _check_layout("image", image)
    _check_layout("reference", reference)
    if image.shape != reference.shape:
        raise OTCacheError(
            f"image and reference must have one shape but have {tuple(image.shape)} and "
            f"{tuple(reference.shape)}; resize or select frames first"
        )
    height, width = image.shape[1:3]
    if min(height, width) < minimum_size:
        raise OTCacheError(
            f"{measure} needs images of at least {minimum_size} pixels a side but got "
            f"{width}x{height}; compare larger images"
        )
    for name, batch in (("image", image), ("reference", reference)):
        finite = batch.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            frame = int((~finite).nonzero()[0])
            raise OTCacheError(
                f"{name} must be finite but frame {frame} of {len(finite)} holds NaN or infinity; "
                "look for the cause where it was sampled or decoded"
            )


def _measure_in_chunks(
    measure: Callable[[Tensor, Tensor], Tensor],
    image: Tensor,
    reference: Tensor,
    chunk_pixels: int,
) -> Tensor:
    """Applies `measure` to float32 `(n, 3, H, W)` pairs of at most `chunk_pixels`, or one frame."""

    def channels_first(batch: Tensor) -> Iterator[Tensor]:
        frames = max(1, chunk_pixels // (batch.shape[1] * batch.shape[2]))
        for chunk in torch.split(batch, frames):
            yield chunk.to(device=image.device, dtype=torch.float32).movedim(-1, 1)

    with torch.no_grad():
        pairs = zip(channels_first(image), channels_first(reference), strict=True)
        return torch.cat([measure(first, second) for first, second in pairs])


def _blur(x: Tensor) -> Tensor:
    """Gaussian mean over valid windows; both sides become 10 pixels shorter."""
    # Sums of shifted slices, not a convolution: GPUs may run that in TF32, whose 10 bits would
    # drown the variances that SSIM takes as differences.
    centre = _SSIM_WINDOW // 2
    weights = [math.exp(-0.5 * ((i - centre) / _SSIM_SIGMA) ** 2) for i in range(_SSIM_WINDOW)]
    for axis in (2, 3):
        length = x.shape[axis] - _SSIM_WINDOW + 1
        blurred = torch.zeros_like(x.narrow(axis, 0, length))
        for offset, weight in enumerate(weights):
            blurred.add_(x.narrow(axis, offset, length), alpha=weight / sum(weights))
        x = blurred
    return x


def _ssim_chunk(first: Tensor, second: Tensor) -> Tensor:
    mean_1, mean_2 = _blur(first), _blur(second)
    # Moments about 1/2 rather than 0 lose fewer digits to cancellation in float32.
    first, second = first - 0.5, second - 0.5
    variance_1 = _blur(first * first) - (mean_1 - 0.5).square()
    variance_2 = _blur(second * second) - (mean_2 - 0.5).square()
    covariance = _blur(first * second) - (mean_1 - 0.5) * (mean_2 - 0.5)
    c_1, c_2 = _SSIM_K1**2, _SSIM_K2**2
    luminance = (2 * mean_1 * mean_2 + c_1) / (mean_1.square() + mean_2.square() + c_1)
    structure = (2 * covariance + c_2) / (variance_1 + variance_2 + c_2)
    return (luminance * structure).mean(dim=(1, 2, 3))


class LPIPS:
    """Learned perceptual distance (Zhang et al. 2018, arXiv 1801.03924) with its true weights.

    The weights of the trunk come from the first of the given folders that has them, as a
    safetensors file such as `alexnet.safetensors` or as the file that torchvision publishes, both
    with the keys of torchvision. Without such a file, the lpips package downloads them once into
    the hub folder of torch. Networks stay loaded for the life of the process and are shared.

    Args:
        net: "alex" (the variant of published results), "squeeze" or "vgg".
        trunk_directories: folders to search, in order, such as ComfyUI's `models/lpips`.
        device: where the network runs; inputs are moved there chunk by chunk.
        chunk_pixels: how many pixels of each batch are measured at once; bounds memory.

    Raises:
        OTCacheError: `net` is unknown, a weight file is damaged or of another network, the weights
            can be neither found nor downloaded, or `lpips` cannot be imported.
    """

    def __init__(
        self,
        net: str = "alex",
        *,
        trunk_directories: Sequence[str | Path] = (),
        device: str | torch.device = "cpu",
        chunk_pixels: int = _CHUNK_PIXELS,
    ) -> None:
        if net not in TRUNKS:
            raise OTCacheError(f"net must be one of {', '.join(TRUNKS)} but got {net!r}")
        self.net = net
        self._device = torch.device(device)
        self._chunk_pixels = chunk_pixels
        directories = tuple(Path(directory) for directory in trunk_directories)
        self._network = load_network(net, directories, find_trunk(net, directories), self._device)

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """Returns the distance of each image from its reference, `(N,)`; 0 means identical.

        Args:
            image: `(N, H, W, 3)` in [0, 1].
            reference: same shape.

        Raises:
            OTCacheError: layouts or shapes do not fit, a value is NaN or infinite, or the images
                are smaller than the network can see (31 pixels for "alex").
        """
        _check(image, reference, minimum_size=TRUNKS[self.net].minimum_size, measure="LPIPS")

        def measure(first: Tensor, second: Tensor) -> Tensor:
            distance: Tensor = self._network(
                first.to(self._device), second.to(self._device), normalize=True
            )
            return distance.flatten().to(image.device)

        return _measure_in_chunks(measure, image, reference, self._chunk_pixels)


def ssim(image: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, Eq. 13), `(N,)`; 1 means identical.

    11x11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, windows that lie
    wholly inside the image only; the mean over windows and the three channels.

    Args:
        image: `(N, H, W, 3)` in [0, 1].
        reference: same shape.

    Raises:
        OTCacheError: layouts or shapes do not fit, a value is NaN or infinite, or a side is shorter
            than 11 pixels.
    """
    _check(image, reference, minimum_size=_SSIM_WINDOW, measure="SSIM")
    return _measure_in_chunks(_ssim_chunk, image, reference, _CHUNK_PIXELS)


def psnr(image: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB for a peak of 1, `(N,)`; infinite when identical.

    Args:
        image: `(N, H, W, 3)` in [0, 1].
        reference: same shape.

    Raises:
        OTCacheError: layouts or shapes do not fit, or a value is NaN or infinite.
    """
    _check(image, reference, minimum_size=1, measure="PSNR")
    return _measure_in_chunks(
        lambda first, second: -10.0 * (first - second).square().mean(dim=(1, 2, 3)).log10(),
        image,
        reference,
        _CHUNK_PIXELS,
    )
