"""The OTCache method, without a host: numpy, scipy, torch, optuna and lpips, never ComfyUI."""

__version__ = "0.1.0"
