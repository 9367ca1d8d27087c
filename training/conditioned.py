"""A host's diffusion model and its word encoder, trained together under the host's own noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models.ground_model import ABOUT, part, read_weights
from demo_model.text import WordEncoder

EMPTY_PROMPTS = 0.1
SIGMA_MEAN = 0.3
"""Of the logit-normal distribution of a flow's sigma, as the demo model's."""


def initialise(module: nn.Module) -> None:
    """What torch does for its own layers: the host leaves them as memory was."""
    for layer in module.modules():
        for kind in (nn.Linear, nn.Conv2d, nn.Conv3d):
            if isinstance(layer, kind):
                kind.reset_parameters(layer)
        # The host has several classes of RMSNorm, one of its own among them.
        if type(layer).__name__ in ("GroupNorm", "LayerNorm", "RMSNorm"):
            for name, parameter in layer.named_parameters(recurse=False):
                nn.init.constant_(parameter, float(name == "weight"))


def zero(*layers: nn.Module) -> None:
    """Layers that shall say nothing at first."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


class Conditioned(nn.Module):
    """The diffusion model of a base model of the host, and a word encoder.

    Args:
        base: Of ``comfy.model_base``; it stays outside the module, for its noise levels.
        words: Size of the vocabulary.
        pooled: Whether the model takes the pooled vector.
    """

    def __init__(self, base: Any, words: int, *, pooled: bool = False) -> None:
        super().__init__()
        self.transformer = base.diffusion_model.requires_grad_(True)
        self.text = WordEncoder(words)
        self.pooled = pooled

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.text.position.device

    def forward(self, x: Tensor, timestep: Tensor, words: Tensor) -> Tensor:
        context, pooled = self.text(words.to(x.device))
        extra = {"y": pooled} if self.pooled else {}
        found: Tensor = self.transformer(x, timestep, context=context, **extra)
        return found


def drop_words(words: Tensor) -> Tensor:
    """One prompt in ten empty, for classifier-free guidance."""
    return torch.where(torch.rand(len(words), 1) < EMPTY_PROMPTS, 0, words)


def _over(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def flow_loss(model: Conditioned, sampling: Any, x0: Tensor, words: Tensor) -> Tensor:
    """Flow matching: E |v(x_sigma) - (noise - x0)|^2, sigma logit-normal.

    Args:
        sampling: The host's ``model_sampling``, which gives the model its time.
        x0: Latents as the model has them.
        words: Word indices ``(N, L)``.
    """
    sigma = torch.sigmoid(torch.randn(len(x0)) + SIGMA_MEAN).to(x0)
    noise = torch.randn_like(x0)
    at = _over(sigma, x0)
    velocity = model((1 - at) * x0 + at * noise, sampling.timestep(sigma).float(), words)
    return (velocity - (noise - x0)).square().mean()


def eps_loss(model: Conditioned, sampling: Any, x0: Tensor, words: Tensor) -> Tensor:
    """Noise prediction: E |eps(x_t) - noise|^2, t uniform over the host's table of sigmas."""
    step = torch.randint(len(sampling.sigmas), (len(x0),))
    sigma = _over(sampling.sigmas[step].to(x0), x0)
    noise = torch.randn_like(x0)
    x = (x0 + sigma * noise) / (sigma.square() + 1).sqrt()
    return (model(x, step.to(x0), words) - noise).square().mean()


def load(model: Conditioned, path: Path, vocabulary: list[str]) -> None:
    """Sets the weights to shipped ones; words that both know keep their vectors.

    Args:
        path: What ``export`` wrote, of this model with any vocabulary.
        vocabulary: The model's own.
    """
    weights, about = read_weights(path)
    model.transformer.load_state_dict(part(weights, "transformer."))
    text = part(weights, "text.")
    rows = {word: i + 1 for i, word in enumerate(about["vocabulary"])}
    with torch.no_grad():
        model.text.position.copy_(text["position"])
        for i, word in enumerate(vocabulary):
            if word in rows:
                model.text.word.weight[i + 1] = text["word.weight"][rows[word]]


def export(model: Conditioned, path: Path, about: dict[str, Any]) -> None:
    """Writes float16 weights under ``transformer.`` and ``text.``, with metadata."""
    from safetensors.torch import save_file

    state = {f"transformer.{k}": v for k, v in model.transformer.state_dict().items()}
    state |= {f"text.{k}": v for k, v in model.text.state_dict().items()}
    half = {name: tensor.detach().half().contiguous() for name, tensor in state.items()}
    save_file(half, str(path), metadata={ABOUT: json.dumps(about)})
