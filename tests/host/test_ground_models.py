"""The proving ground's models: each loads in the host and predicts what was trained.

Here the weights are random, written by the training scripts' own functions, so that nothing has to
be trained first.
"""

import importlib
import json

import pytest
import torch

from benchmarks.models import blocks, ground_model, grounds, latent, unet, video
from benchmarks.models.ground_model import FOLDER, part, read_weights
from benchmarks.models.sampled import SampledModel
from benchmarks.models.tiny import randomise
from training.conditioned import Conditioned, export

pytestmark = pytest.mark.host
VOCABULARY = "a apple at big blue cat fish green grey house in left night on red yellow".split()
VAES = {
    "unet": lambda: blocks.PictureBlocks(unet.CHANNELS, unet.FOLD),
    "latent": latent.BlockVAE,
    "video": lambda: blocks.Blocks(video.CHANNELS, video.TIME, video.FOLD),
}
NAMES = tuple(VAES)


def untrained(name):
    """The model as its training begins with it."""
    base = importlib.import_module(f"training.{name}").build_model()
    return Conditioned(base, len(VOCABULARY), pooled=name == "latent")


@pytest.fixture(scope="module")
def folder(host, tmp_path_factory):
    """A folder with a subfolder for each model, as a training leaves it."""
    from safetensors.torch import save_file

    made = tmp_path_factory.mktemp("grounds")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            (made / name).mkdir()
            model = untrained(name)
            randomise(model)
            export(model, made / name / "model.safetensors", {"vocabulary": VOCABULARY})
            module = VAES[name]()
            randomise(module)
            about = {ground_model.ABOUT: json.dumps({})}
            save_file(module.state_dict(), str(made / name / "vae.safetensors"), about)
            patch.setattr(importlib.import_module(f"benchmarks.models.{name}"), "FOLDER", made)
        yield made


@pytest.fixture(scope="module")
def ground(host, folder):
    """`ground(name)`: the loaded model."""
    return lambda name: grounds.build(host, name)


def trained(folder, name):
    """The class that was trained, with the weights that were written."""
    model = untrained(name)
    weights, _ = read_weights(folder / name / "model.safetensors")
    model.transformer.load_state_dict(part(weights, "transformer."))
    model.text.load_state_dict(part(weights, "text."))
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_host_predicts_what_was_trained(ground, folder, name):
    loaded = ground(name)
    model = trained(folder, name)
    text = loaded.prompts("held_out")[0]
    tokens = loaded.clip.tokenize(text)
    context, pooled = loaded.clip.encode_from_tokens(tokens, return_pooled=True)
    base, sampling = loaded.model.model, loaded.model.model.model_sampling
    sigma = sampling.percent_to_sigma(0.5) * torch.ones(1)
    torch.manual_seed(0)
    x = torch.randn_like(loaded.latent)
    extra = {"y": pooled} if name == "latent" else {}
    with torch.inference_mode():
        denoised = base.apply_model(x, sigma, c_crossattn=context, **extra)
        seen = sampling.calculate_input(sigma, x)
        found = model(seen, sampling.timestep(sigma).float(), torch.tensor(tokens["words"]))
    torch.testing.assert_close(denoised, x - sigma * found, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "name, shape",
    [("unet", (1, 1, 48, 48, 3)), ("latent", (1, 1, 64, 64, 3)), ("video", (1, 9, 48, 48, 3))],
)
def test_a_few_steps_give_pictures_that_depend_on_the_prompt(ground, host, name, shape):
    loaded = ground(name)
    texts = loaded.prompts("held_out")[:2]
    models = [SampledModel(host, loaded, [text]) for text in texts]
    latents = [model.sample([0], steps=3) for model in models]
    assert not torch.equal(*latents)
    for model, latent_of_one in zip(models, latents, strict=True):
        pictures = model.pictures(latent_of_one)
        assert pictures.shape == shape
        assert 0 <= pictures.min() and pictures.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_enough_to_ship(folder, name):
    for place in (folder, FOLDER):  # as they are made, and as they ship where they do
        assert sum(p.stat().st_size for p in (place / name).glob("*.safetensors")) < 16e6
