"""The host's FLUX transformer, written out of place so that it can be trained.

The host's blocks update their inputs in place, which autograd cannot follow. This twin has the same
parameter names and the same arithmetic; ``tests/host/test_demo_model.py`` holds the two together.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _timestep_embedding(sigma: Tensor, dim: int = 256) -> Tensor:
    half = dim // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
    angles = 1000.0 * sigma[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _rope_table(height: int, width: int, words: int, axes_dim: list[int], theta: float) -> Tensor:
    """Cosines and sines, ``(2, words + height * width, head_dim / 2)``; words sit at the origin."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([torch.zeros_like(rows), rows, columns], -1).reshape(-1, 3)
    position = torch.cat([torch.zeros(words, 3), image]).double()
    angles = [
        position[:, axis : axis + 1]
        / theta ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)[None]
        for axis, dim in enumerate(axes_dim)
    ]
    angle = torch.cat(angles, dim=-1)
    return torch.stack([angle.cos(), angle.sin()]).float()


def _rotate(x: Tensor, table: Tensor) -> Tensor:
    pairs = x.float().unflatten(-1, (-1, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    cos, sin = table
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class _Embedder(nn.Module):
    def __init__(self, in_dim: int, hidden: int) -> None:
        super().__init__()
        self.in_layer = nn.Linear(in_dim, hidden)
        self.out_layer = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_layer(F.silu(self.in_layer(x)))


class _Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.scale.shape, self.scale, 1e-6)


class _QKNorm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query_norm = _Scale(dim)
        self.key_norm = _Scale(dim)


class _Attention(nn.Module):
    def __init__(self, hidden: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(hidden, 3 * hidden, bias=bias)
        self.norm = _QKNorm(hidden // heads)
        self.proj = nn.Linear(hidden, hidden)


class _Modulation(nn.Module):
    def __init__(self, hidden: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.lin = nn.Linear(hidden, parts * hidden)

    def forward(self, vec: Tensor) -> tuple[Tensor, ...]:
        return self.lin(F.silu(vec))[:, None].chunk(self.parts, dim=-1)


def _split_heads(qkv: Tensor, heads: int, norm: _QKNorm) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return norm.query_norm(q).to(v.dtype), norm.key_norm(k).to(v.dtype), v


def _attend(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """Attention written out: at 76 tokens its backward pass is twice as fast as the fused one."""
    q, k = _rotate(q, table) * q.shape[-1] ** -0.5, _rotate(k, table)
    out = (q @ k.transpose(-1, -2)).softmax(dim=-1).to(v.dtype) @ v
    return out.transpose(1, 2).flatten(-2)


def _norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class _DoubleBlock(nn.Module):
    def __init__(self, hidden: int, heads: int, mlp_ratio: float, bias: bool) -> None:
        super().__init__()
        inner = int(hidden * mlp_ratio)
        self.heads = heads
        for stream in ("img", "txt"):
            setattr(self, f"{stream}_mod", _Modulation(hidden, 6))
            setattr(self, f"{stream}_attn", _Attention(hidden, heads, bias))
            mlp = nn.Sequential(
                nn.Linear(hidden, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, hidden)
            )
            setattr(self, f"{stream}_mlp", mlp)

    def forward(
        self, img: Tensor, txt: Tensor, vec: Tensor, table: Tensor
    ) -> tuple[Tensor, Tensor]:
        words = txt.shape[1]
        img_mod, txt_mod = self.img_mod(vec), self.txt_mod(vec)
        img_qkv = self.img_attn.qkv(_norm(img, img_mod[1], img_mod[0]))
        txt_qkv = self.txt_attn.qkv(_norm(txt, txt_mod[1], txt_mod[0]))
        img_heads = _split_heads(img_qkv, self.heads, self.img_attn.norm)
        txt_heads = _split_heads(txt_qkv, self.heads, self.txt_attn.norm)
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(txt_heads, img_heads, strict=True))
        out = _attend(q, k, v, table)
        img = img + img_mod[2] * self.img_attn.proj(out[:, words:])
        img = img + img_mod[5] * self.img_mlp(_norm(img, img_mod[4], img_mod[3]))
        txt = txt + txt_mod[2] * self.txt_attn.proj(out[:, :words])
        txt = txt + txt_mod[5] * self.txt_mlp(_norm(txt, txt_mod[4], txt_mod[3]))
        return img, txt


class _SingleBlock(nn.Module):
    def __init__(self, hidden: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads, self.hidden, self.inner = heads, hidden, int(hidden * mlp_ratio)
        self.modulation = _Modulation(hidden, 3)
        self.linear1 = nn.Linear(hidden, 3 * hidden + self.inner)
        self.linear2 = nn.Linear(hidden + self.inner, hidden)
        self.norm = _QKNorm(hidden // heads)

    def forward(self, x: Tensor, vec: Tensor, table: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(vec)
        qkv, mlp = self.linear1(_norm(x, scale, shift)).split([3 * self.hidden, self.inner], -1)
        out = _attend(*_split_heads(qkv, self.heads, self.norm), table)
        mlp = F.gelu(mlp, approximate="tanh")
        return x + gate * self.linear2(torch.cat([out, mlp], dim=-1))


class _LastLayer(nn.Module):
    def __init__(self, hidden: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))

    def forward(self, x: Tensor, vec: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(vec)[:, None].chunk(2, dim=-1)
        return self.linear(_norm(x, scale, shift))


class FluxTwin(nn.Module):
    """FLUX as the host builds it from ``config``, for training.

    ``forward`` takes noisy pixels ``(N, C, H, W)``, sigma ``(N,)`` in [0, 1], word vectors
    ``(N, L, D)`` and pooled vectors ``(N, D)``, and returns the velocity ``(N, C, H, W)``.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        hidden, heads, ratio = config["hidden_size"], config["num_heads"], config["mlp_ratio"]
        self.patch, self.axes_dim, self.theta = (
            config["patch_size"],
            config["axes_dim"],
            config["theta"],
        )
        self.img_in = nn.Linear(config["in_channels"] * self.patch**2, hidden)
        self.time_in = _Embedder(256, hidden)
        self.vector_in = _Embedder(config["vec_in_dim"], hidden)
        self.txt_in = nn.Linear(config["context_in_dim"], hidden)
        self.double_blocks = nn.ModuleList(
            _DoubleBlock(hidden, heads, ratio, config["qkv_bias"]) for _ in range(config["depth"])
        )
        self.single_blocks = nn.ModuleList(
            _SingleBlock(hidden, heads, ratio) for _ in range(config["depth_single_blocks"])
        )
        self.final_layer = _LastLayer(hidden, config["out_channels"] * self.patch**2)
        self._table: Tensor | None = None

    def init_weights(self) -> None:
        """Zero gates and a zero last layer: every block starts as the identity (adaLN-zero)."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                zero = name.endswith((".lin", "adaLN_modulation.1", "final_layer.linear"))
                if zero:
                    nn.init.zeros_(module.weight)
                else:
                    nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, sigma: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        n, c, height, width = x.shape
        p, rows, columns = self.patch, height // self.patch, width // self.patch
        if self._table is None:
            words = context.shape[1]
            self._table = _rope_table(rows, columns, words, self.axes_dim, self.theta)
        patches = (
            x.reshape(n, c, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * p * p)
        )
        img, txt = self.img_in(patches), self.txt_in(context)
        vec = self.time_in(_timestep_embedding(sigma)) + self.vector_in(pooled)
        for block in self.double_blocks:
            img, txt = block(img, txt, vec, self._table)
        tokens = torch.cat([txt, img], dim=1)
        for block in self.single_blocks:
            tokens = block(tokens, vec, self._table)
        out = self.final_layer(tokens[:, context.shape[1] :], vec)
        out = out.reshape(n, rows, columns, c, p, p).permute(0, 3, 1, 4, 2, 5)
        return out.reshape(n, c, height, width)
