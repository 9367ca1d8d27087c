"""What a schedule means for each sampler of the host, told by the sampler's function.

The measured errors behind these rules are in docs/compatibility.md.
"""

from __future__ import annotations

import inspect
from typing import Any

STOCHASTIC_SAMPLERS = ("ancestral", "sde", "lcm", "ddpm", "seeds", "sa_solver")
"""Parts of sampler names that tell a sampler which adds noise between its steps."""

ADAPTIVE_SAMPLERS = ("dpm_adaptive",)
"""Parts of names of samplers that choose their own steps by how well the last one fitted."""

KEEPS_MEMORY = "ar_video"
"""Part of names of samplers whose model keeps a memory that every call must write to."""

READS_CONDS = "cfg_pp"
"""Part of names of samplers that read the model's unguided prediction at every step."""

NO_RULE = "every step computed"

DENOISED = "denoised"
"""The rule that repeats the last prediction of the clean picture."""

DENOISED_SAMPLERS = ("2m_sde", "3m_sde", "lcm")
"""Parts of names of samplers with noise that step from clean picture to clean picture."""

DAMPED_SLOPE = "damped slope"
"""The rule that follows the slope less than it would by itself."""

MOST_OF_SLOPE = 0.6
"""The gain that the rule ``DAMPED_SLOPE`` admits."""

DAMPED_SLOPE_SAMPLERS = frozenset(
    "sample_" + name
    for name in (
        "euler_ancestral", "er_sde", "ddpm", "sa_solver", "sa_solver_pece", "dpmpp_2s_ancestral",
        "dpm_2",
    )
)  # fmt: skip
"""Functions of samplers that add noise or ask between levels, and gain from a part of the slope."""

WITH_NOISE = {"slope": DAMPED_SLOPE, "adaptive": "adaptive"}
"""What an estimator becomes with these samplers; one that teaches itself damps itself."""

BETWEEN_LEVELS = ("dpm_2", "dpm_fast")
"""Parts of names of samplers that ask between the levels of their steps."""

HOST_SAMPLERS = ("comfy.k_diffusion.sampling", "comfy.extra_samplers.uni_pc", "comfy.samplers")
ONE_EVALUATION = frozenset(
    "sample_" + name
    for name in (
        "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
        "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "lms",
        "deis", "ipndm", "ipndm_v", "res_multistep", "res_multistep_ancestral",
        "gradient_estimation", "er_sde", "lcm", "ddpm", "sa_solver", "unipc", "unipc_bh2",
    )
)  # fmt: skip
"""Functions of the host's samplers that ask the model once a step, at the step's own level, and
report the step as done after that.
"""

SAME_EQUATION = frozenset(
    "sample_" + name
    for name in (
        "euler", "heun", "heunpp2", "dpm_2", "lms", "dpmpp_2m", "deis", "ipndm", "ipndm_v",
        "res_multistep", "gradient_estimation", "unipc", "unipc_bh2", "exp_heun_2_x0",
    )
)  # fmt: skip
"""Functions of the host's samplers that solve the sampling equation and add nothing to it: with
ever more steps they all come to the same picture.
"""

STEPS_ALONE = frozenset("sample_" + name for name in ("euler", "heun", "heunpp2", "exp_heun_2_x0"))
"""Functions of the host's samplers that take each step by itself. Those that look back over several
carry on how the velocity bends at computed steps: with fitted bends they were up to 30 times worse
(seven samplers on two easy models and a hard one; docs/method.md).
"""

CALLS_A_STEP = {
    "sample_" + name: calls
    for name, calls in (
        ("heun", 2), ("heunpp2", 3), ("exp_heun_2_x0", 2), ("exp_heun_2_x0_sde", 2), ("dpm_2", 2),
        ("dpm_2_ancestral", 2), ("dpmpp_2s_ancestral", 2), ("dpmpp_sde", 2), ("dpmpp_sde_gpu", 2),
        ("seeds_2", 2), ("seeds_3", 3), ("sa_solver_pece", 2),
    )
}  # fmt: skip
"""Model calls at each step, of the host's samplers that call more than once."""

MEASURED = ONE_EVALUATION | CALLS_A_STEP.keys() | {"dpm_fast_function"}
"""Functions of the host's samplers that have a rule by measurement."""


def _function(sampler: Any) -> Any:
    return getattr(sampler, "sampler_function", None)


def function_name(sampler: Any) -> str:
    """Name of a sampler's function, or empty for what is no sampler of the host's kind."""
    return str(getattr(_function(sampler), "__name__", ""))


def _options(sampler: Any) -> dict[str, Any]:
    return getattr(sampler, "extra_options", None) or {}


def follows_bends(sampler: Any) -> bool:
    """Whether estimates may follow how slopes bend: without noise, and without looking back."""
    return function_name(sampler) in STEPS_ALONE and not is_stochastic(sampler)


def is_adaptive(sampler: Any) -> bool:
    """Whether a sampler chooses its own steps."""
    return any(part in function_name(sampler) for part in ADAPTIVE_SAMPLERS)


def keeps_memory(sampler: Any) -> bool:
    """Whether a sampler goes over a video part by part, and its model keeps what came before."""
    return KEEPS_MEMORY in function_name(sampler)


def reads_conds(sampler: Any) -> bool:
    """Whether a sampler needs what only the model can tell, at every step (CFG++)."""
    return READS_CONDS in function_name(sampler)


def calls_a_step(sampler: Any) -> int:
    """How often a sampler calls the model at a computed step; 1 for samplers not of the host."""
    return CALLS_A_STEP.get(function_name(sampler), 1)


def is_stochastic(sampler: Any) -> bool:
    """Whether a sampler adds noise between steps.

    Of the host's own, name and options tell it; of others also whether their function takes what
    noise is drawn by, and is not told to draw none.
    """
    name = function_name(sampler)
    if bool(_options(sampler).get("s_churn")) or any(p in name for p in STOCHASTIC_SAMPLERS):
        return True
    known = was_measured(sampler) or (_is_hosts(sampler) and reads_conds(sampler))
    return not known and _takes_noise(sampler)


def _takes_noise(sampler: Any) -> bool:
    """Whether a function takes a strength or a source of noise, the strength not being 0."""
    try:
        taken = inspect.signature(_function(sampler)).parameters
    except (TypeError, ValueError):  # no function at all, or one that does not tell
        return False
    settings = {name: of.default for name, of in taken.items()} | _options(sampler)
    strengths = [settings[name] for name in ("eta", "s_noise") if name in settings]
    drawn = "eta" in settings or "noise_sampler" in settings
    return drawn and all(strength != 0 for strength in strengths)


def _is_hosts(sampler: Any) -> bool:
    """Whether a function is the host's own: a pack's of the same name may do anything."""
    return getattr(_function(sampler), "__module__", "") in HOST_SAMPLERS


def was_measured(sampler: Any) -> bool:
    """Whether a sampler is one of the host's that have a rule by measurement."""
    return _is_hosts(sampler) and function_name(sampler) in MEASURED


def solves_the_equation(sampler: Any) -> bool:
    """Whether a sampler is known to solve the sampling equation, without noise of its own."""
    noisy = bool(_options(sampler).get("s_churn"))
    return not noisy and _is_hosts(sampler) and function_name(sampler) in SAME_EQUATION


def is_of_higher_order(sampler: Any) -> bool:
    """Whether a sampler is known to solve the sampling equation by more than Euler's steps."""
    return solves_the_equation(sampler) and function_name(sampler) != "sample_euler"


def asks_once_a_step(sampler: Any) -> bool:
    """Whether a sampler is known to ask once a step, so that its own report tells the step.

    Only the host's own functions are known; a pack's sampler of the same name is not.
    """
    if not _is_hosts(sampler) or _options(sampler).get("s_churn"):
        return False
    return function_name(sampler) in ONE_EVALUATION


def rule_for(sampler: Any, estimator: str) -> str:
    """What a skipped step repeats or extrapolates, by measured error.

    A sampler that was not measured repeats the last velocity: whatever it does between the steps,
    no extrapolation carries that on.

    Args:
        sampler: The host's sampler.
        estimator: The schedule's own.

    Returns:
        An estimator's name, ``DAMPED_SLOPE``, ``DENOISED`` or ``NO_RULE``.
    """
    name = function_name(sampler)
    if is_adaptive(sampler) or reads_conds(sampler) or keeps_memory(sampler):
        return NO_RULE
    if not was_measured(sampler):
        return "reuse"
    if name in DAMPED_SLOPE_SAMPLERS and estimator in WITH_NOISE:
        return WITH_NOISE[estimator]
    if not is_stochastic(sampler):
        return "reuse" if any(part in name for part in BETWEEN_LEVELS) else estimator
    return DENOISED if any(part in name for part in DENOISED_SAMPLERS) else "reuse"
