import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from otcache_core.errors import OTCacheError
from otcache_core.measures import lpips_weights, perceptual
from otcache_core.measures.perceptual import LPIPS, psnr, ssim

Metric = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture
def nothing_loaded() -> None:
    """A process that has not loaded any network yet."""
    lpips_weights.load_network.cache_clear()


@pytest.fixture
def no_network(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    working_torchvision: None,
    nothing_loaded: None,
) -> None:
    """A machine without internet that has never downloaded any weights."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


def _constant(value: float, size: int = 64) -> Tensor:
    return torch.full((1, size, size, 3), value)


def _noise(count: int, height: int = 48, width: int = 40, seed: int = 0) -> Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


def _synthetic_picture() -> Tensor:
    """Red rises to the right, green downwards, blue in diagonal waves; `(1, 64, 64, 3)`."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    blue = 0.5 + 0.5 * torch.sin(2 * math.pi * (x + y) / 16)
    return torch.stack([x / 63, y / 63, blue], dim=-1)[None]


# LPIPS


def test_lpips_true_values(lpips_trunk_directory: Path) -> None:
    picture = _synthetic_picture()
    others = torch.cat([picture.roll(8, dims=2), 1 - picture, picture])
    metric = LPIPS(trunk_directories=[lpips_trunk_directory])

    distances = metric(picture.expand(3, -1, -1, -1), others)

    assert distances.shape == (3,)
    assert distances.dtype == torch.float32
    # Computed with the published AlexNet trunk, whose file gives the published example values.
    assert distances.tolist() == pytest.approx([0.09138, 0.28444, 0.0], abs=2e-4)


@pytest.mark.parametrize("chunk_pixels", [1, 2 * 48 * 40, 10**9])
def test_lpips_chunks_change_nothing(lpips_trunk_directory: Path, chunk_pixels: int) -> None:
    image, reference = _noise(5, seed=1), _noise(5, seed=2)
    whole = LPIPS(trunk_directories=[lpips_trunk_directory])
    chunked = LPIPS(trunk_directories=[lpips_trunk_directory], chunk_pixels=chunk_pixels)

    torch.testing.assert_close(chunked(image, reference), whole(image, reference))


def test_lpips_accepts_half_precision_and_gradients(lpips_trunk_directory: Path) -> None:
    metric = LPIPS(trunk_directories=[lpips_trunk_directory])
    image = _noise(1).half().requires_grad_()

    distance = metric(image, _noise(1, seed=1))

    assert distance.dtype == torch.float32
    assert not distance.requires_grad


def test_lpips_loaded_in_inference_mode_works_outside(
    nothing_loaded: None, lpips_trunk_directory: Path
) -> None:
    with torch.inference_mode():
        metric = LPIPS(trunk_directories=[lpips_trunk_directory])
        inside = metric(_noise(1), _noise(1, seed=1))

    assert not any(parameter.is_inference() for parameter in metric._network.parameters())
    torch.testing.assert_close(metric(_noise(1), _noise(1, seed=1)), inside)


def test_lpips_leaves_the_global_generator_alone(
    nothing_loaded: None, lpips_trunk_directory: Path
) -> None:
    state = torch.get_rng_state()

    LPIPS(trunk_directories=[lpips_trunk_directory])

    assert torch.equal(torch.get_rng_state(), state)


def test_lpips_networks_are_shared(lpips_trunk_directory: Path) -> None:
    first = LPIPS(trunk_directories=[lpips_trunk_directory])
    second = LPIPS(trunk_directories=[lpips_trunk_directory])

    assert first._network is second._network


def test_lpips_reads_torchvisions_own_file(lpips_trunk_directory: Path, tmp_path: Path) -> None:
    weights = load_file(lpips_trunk_directory / "alexnet.safetensors")
    torch.save(weights, tmp_path / "alexnet-owt-7be5be79.pth")
    expected = LPIPS(trunk_directories=[lpips_trunk_directory])

    # Folders are searched in order; the first holds nothing.
    metric = LPIPS(trunk_directories=[tmp_path / "absent", tmp_path])

    image, reference = _noise(1), _noise(1, seed=1)
    torch.testing.assert_close(metric(image, reference), expected(image, reference))


def test_lpips_fills_every_layer_of_a_nested_trunk(
    working_torchvision: None, tmp_path: Path
) -> None:
    from torchvision.models import squeezenet1_1

    weights = squeezenet1_1(weights=None).state_dict()
    save_file(weights, tmp_path / "squeezenet1_1.safetensors")

    loaded = LPIPS("squeeze", trunk_directories=[tmp_path])._network.net.state_dict()

    assert len(loaded) == sum(key.startswith("features.") for key in weights)
    for key, value in loaded.items():
        assert torch.equal(value, weights["features." + key.partition(".")[2]])


def test_lpips_unknown_net() -> None:
    with pytest.raises(OTCacheError, match="one of alex, squeeze, vgg but got 'resnet'"):
        LPIPS("resnet")


@pytest.mark.parametrize(
    ("net", "file_names"),
    [
        ("alex", "alexnet.safetensors or alexnet-owt-7be5be79.pth"),
        ("squeeze", "squeezenet1_1.safetensors or squeezenet1_1-b8a52dc0.pth"),
    ],
)
def test_lpips_missing_trunk_names_file_and_folder(
    no_network: None, tmp_path: Path, net: str, file_names: str
) -> None:
    folder = tmp_path / "models" / "lpips"

    with pytest.raises(OTCacheError) as caught:
        LPIPS(net, trunk_directories=[folder])

    assert file_names in str(caught.value)
    assert f"into {folder}" in str(caught.value)
    assert "no network in this test" in str(caught.value)


def test_lpips_missing_trunk_without_folders_names_torchs(no_network: None, tmp_path: Path) -> None:
    with pytest.raises(OTCacheError) as caught:
        LPIPS()

    assert str(tmp_path / "torch_home" / "hub" / "checkpoints") in str(caught.value)


@pytest.mark.parametrize(
    ("file_name", "content"),
    [
        ("alexnet.safetensors", b"not a safetensors file"),
        ("alexnet-owt-7be5be79.pth", b"not a torch file"),
    ],
)
def test_lpips_damaged_trunk(
    working_torchvision: None, tmp_path: Path, file_name: str, content: bytes
) -> None:
    (tmp_path / file_name).write_bytes(content)

    with pytest.raises(OTCacheError, match="must hold torchvision's alexnet weights"):
        LPIPS(trunk_directories=[tmp_path])


@pytest.mark.parametrize("damage", ["missing layer", "wrong shape"])
def test_lpips_trunk_of_another_network(
    lpips_trunk_directory: Path, tmp_path: Path, damage: str
) -> None:
    weights = load_file(lpips_trunk_directory / "alexnet.safetensors")
    if damage == "missing layer":
        del weights["features.8.bias"]
    else:
        weights["features.8.bias"] = torch.zeros(7)
    save_file(weights, tmp_path / "alexnet.safetensors")

    with pytest.raises(OTCacheError, match=r"(?s)features\.8\.bias|slice4\.8\.bias"):
        LPIPS(trunk_directories=[tmp_path])


def test_import_is_light() -> None:
    program = (
        "import sys, otcache_core.measures.perceptual; "
        "sys.exit(bool({'lpips', 'torchvision', 'safetensors'} & set(sys.modules)))"
    )
    root = Path(perceptual.__file__).parents[2]

    assert subprocess.run([sys.executable, "-c", program], cwd=root).returncode == 0


# SSIM


def test_ssim_of_identical_images_is_one() -> None:
    assert ssim(_noise(3), _noise(3)).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # No variance: (2 a b + C1) / (a^2 + b^2 + C1) with C1 = 0.01^2 remains.
        (0.0, 1.0, 0.0001 / 1.0001),
        (0.5, 1.0, 1.0001 / 1.2501),
        (0.2, 0.4, 0.1601 / 0.2001),
    ],
)
def test_ssim_of_constant_images(first: float, second: float, expected: float) -> None:
    assert ssim(_constant(first), _constant(second)).item() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_a_single_window() -> None:
    """An 11x11 image has one window, so the formula can be written out with plain sums."""
    x, y = _noise(1, 11, 11, seed=1), _noise(1, 11, 11, seed=2)
    offsets = torch.arange(11.0, dtype=torch.float64) - 5
    kernel = torch.exp(-offsets.square() / (2 * 1.5**2))
    window = torch.outer(kernel, kernel) / kernel.sum() ** 2

    expected = 0.0
    for channel in range(3):
        a, b = x[0, ..., channel].double(), y[0, ..., channel].double()
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        variance_a = (window * (a - mean_a) ** 2).sum()
        variance_b = (window * (b - mean_b) ** 2).sum()
        covariance = (window * (a - mean_a) * (b - mean_b)).sum()
        numerator = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
        denominator = (mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2)
        expected += float(numerator / denominator) / 3

    assert ssim(x, y).item() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_an_inverted_image_is_negative() -> None:
    noise = _noise(1)

    assert ssim(noise, 1 - noise).item() < -0.9


# PSNR


@pytest.mark.parametrize(
    ("difference", "decibels"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0), (0.0, math.inf)]
)
def test_psnr_of_constant_difference(difference: float, decibels: float) -> None:
    assert psnr(_constant(difference), _constant(0.0)).item() == pytest.approx(decibels, abs=1e-3)


# All three


@pytest.fixture(params=["lpips", "ssim", "psnr"])
def metric(request: pytest.FixtureRequest) -> Metric:
    if request.param == "lpips":
        return LPIPS(trunk_directories=[request.getfixturevalue("lpips_trunk_directory")])
    return {"ssim": ssim, "psnr": psnr}[request.param]


def test_batch_equals_its_images(metric: Metric) -> None:
    images, references = _noise(3, seed=1), _noise(3, seed=2)

    together = metric(images, references)

    alone = torch.cat([metric(images[i : i + 1], references[i : i + 1]) for i in range(3)])
    assert together.shape == (3,)
    torch.testing.assert_close(together, alone)


def test_inputs_are_not_changed(metric: Metric) -> None:
    image, reference = _noise(2, seed=1), _noise(2, seed=2)

    metric(image, reference)

    assert torch.equal(image, _noise(2, seed=1))
    assert torch.equal(reference, _noise(2, seed=2))


@pytest.mark.parametrize(
    ("image_shape", "reference_shape", "message"),
    [
        ((64, 64, 3), (64, 64, 3), r"image must be a non-empty batch .* \(64, 64, 3\)"),
        ((0, 64, 64, 3), (0, 64, 64, 3), "image must be a non-empty batch"),
        ((1, 2, 64, 64, 3), (1, 2, 64, 64, 3), "pass a video as its frames"),
        ((1, 64, 64, 4), (1, 64, 64, 3), r"drop its alpha channel: image\[\.\.\., :3\]"),
        ((1, 64, 64, 3), (1, 64, 64, 4), r"drop its alpha channel: reference"),
        ((1, 64, 64, 1), (1, 64, 64, 1), "repeat its grey channel"),
        ((1, 3, 64, 64), (1, 3, 64, 64), "channels come last"),
        ((1, 64, 64, 3), (2, 64, 64, 3), "one shape"),
        ((1, 64, 64, 3), (1, 64, 32, 3), "one shape"),
    ],
)
def test_shapes_that_do_not_fit(
    metric: Metric,
    image_shape: tuple[int, ...],
    reference_shape: tuple[int, ...],
    message: str,
) -> None:
    with pytest.raises(OTCacheError, match=message):
        metric(torch.zeros(image_shape), torch.zeros(reference_shape))


def test_integer_images_are_refused(metric: Metric) -> None:
    image = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)

    with pytest.raises(OTCacheError, match=r"but is torch\.uint8; divide by 255"):
        metric(image, image)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["image", "reference"])
def test_non_finite_images_are_named(metric: Metric, name: str, value: float) -> None:
    batches = {"image": _noise(3, 64, 64), "reference": _noise(3, 64, 64)}
    batches[name][1, 5, 6, 2] = value

    with pytest.raises(OTCacheError, match=f"{name} must be finite but frame 1 of 3"):
        metric(batches["image"], batches["reference"])


def test_smallest_images(lpips_trunk_directory: Path) -> None:
    lpips = LPIPS(trunk_directories=[lpips_trunk_directory])

    assert lpips(_noise(1, 31, 31), _noise(1, 31, 31, seed=1)).item() > 0
    with pytest.raises(OTCacheError, match="LPIPS needs .* 31 pixels a side but got 40x30"):
        lpips(_noise(1, 30, 40), _noise(1, 30, 40))
    with pytest.raises(OTCacheError, match="SSIM needs .* 11 pixels a side but got 10x40"):
        ssim(_noise(1, 40, 10), _noise(1, 40, 10))
    assert psnr(_noise(1, 1, 1), _noise(1, 1, 1, seed=1)).isfinite().all()
