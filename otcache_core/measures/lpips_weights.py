"""The networks of LPIPS with their true weights: from local folders, or from torch's hub.

The lpips package ships its linear heads but not the image classifiers below them, the trunks. These
are read from a file with the keys of torchvision, and downloaded where there is none.
"""

import functools
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import OTCacheError

_logger = logging.getLogger("otcache")


@dataclass(frozen=True)
class Trunk:
    """The image classifier below one variant of LPIPS, by the names that torchvision gives."""

    name: str
    published_file: str
    minimum_size: int  # shortest side that still leaves one pixel in the deepest layer

    @property
    def file_names(self) -> tuple[str, str]:
        """What a file with its weights may be called."""
        return (f"{self.name}.safetensors", self.published_file)


TRUNKS = {
    "alex": Trunk("alexnet", "alexnet-owt-7be5be79.pth", 31),
    "squeeze": Trunk("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", 17),
    "vgg": Trunk("vgg16", "vgg16-397923af.pth", 16),
}


def find_trunk(net: str, directories: Sequence[Path]) -> Path | None:
    """The first file with the trunk's weights in the given folders, in their order."""
    candidates = (folder / name for folder in directories for name in TRUNKS[net].file_names)
    return next((path for path in candidates if path.is_file()), None)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _fill_trunk(trunk: Any, net: str, path: Path) -> None:
    """Copies torchvision's `features.*` into the slices of lpips' trunk; every key is required."""
    try:
        weights = _read_weights(path)
        # lpips cuts `features` into `slice1.*`, `slice2.*`, ... and keeps the layer numbers.
        trunk.load_state_dict(
            {key: weights[f"features.{key.partition('.')[2]}"] for key in trunk.state_dict()}
        )
    except Exception as error:  # each reader has exceptions of its own for a damaged file
        raise OTCacheError(
            f"{path} must hold torchvision's {TRUNKS[net].name} weights but could not be loaded "
            f"({type(error).__name__}: {error}); replace the file"
        ) from error


def _import_lpips() -> Any:
    try:
        import lpips
    except Exception as error:  # torchvision raises RuntimeError where it does not fit torch
        raise OTCacheError(
            f"LPIPS needs the packages lpips and torchvision, but importing them failed: {error}; "
            "install lpips, and the torchvision that belongs to the installed torch"
        ) from error
    return lpips


def _download(lpips: Any, net: str, directories: Sequence[Path]) -> Any:
    """Lets `lpips` fetch the trunk through torch's hub, which keeps it for later runs."""
    trunk = TRUNKS[net]
    hub_folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not (hub_folder / trunk.published_file).is_file():
        _logger.info("LPIPS (%s): no local weights, downloading %s", net, trunk.published_file)
    try:
        return lpips.LPIPS(net=net, verbose=False)
    except Exception as error:  # no network, a broken transfer, a wrong checksum, a damaged file
        import torchvision

        url = torchvision.models.get_model_weights(trunk.name).DEFAULT.url
        searched = directories or (hub_folder,)
        raise OTCacheError(
            f"LPIPS ({net}) needs the weights of {trunk.name} but torch's hub gave none "
            f"({error}); put {' or '.join(trunk.file_names)} (from {url}) into {searched[0]}"
            + "".join(f" or {folder}" for folder in searched[1:])
        ) from error


@functools.lru_cache(maxsize=4)
def load_network(
    net: str, directories: tuple[Path, ...], trunk_file: Path | None, device: torch.device
) -> Any:
    """Builds `lpips.LPIPS` with its true weights; a failure is not cached, so it can be mended."""
    lpips = _import_lpips()
    # ComfyUI runs nodes in inference mode, but a cached network may later meet autograd; and the
    # random weights that loading replaces must not move the global generator of a sampling run.
    with (
        torch.inference_mode(False),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # lpips calls torchvision by its deprecated arguments
        if trunk_file is None:
            network = _download(lpips, net, directories)
        else:
            network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
            _fill_trunk(network.net, net, trunk_file)
    return network.train(False).requires_grad_(False).to(device=device, dtype=torch.float32)
