"""The host's own grids for few steps, under Euler."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.contestant import Bench, Configured, Contestant, refuse
from benchmarks.contestants.loading import ensure_extra


def host_grid(node_id: str, module: str, **settings: Any) -> Contestant:
    """The contestant of a scheduler node.

    Args:
        node_id: The node.
        module: The module of ``comfy_extras`` that has it.
        settings: Its inputs, less ``steps``.
    """

    def contestant(bench: Bench, calls: int) -> Configured | None:
        ensure_extra(node_id, module)
        (grid,) = bench.host.run(node_id, steps=calls, denoise=1.0, **settings).outputs
        levels = tuple(grid.tolist())
        highest = float(bench.model.get_model_object("model_sampling").sigma_max)
        if len(levels) != calls + 1:
            refuse(node_id, calls, f"its grid has {len(levels) - 1} steps.")
            return None
        if not 0.9 * highest < levels[0] < 1.001 * highest:
            refuse(
                node_id,
                calls,
                f"its levels begin at {levels[0]:.4g} and are made for another kind of model: "
                f"this one's begin at {highest:.4g}.",
            )
            return None
        shown = ", ".join(f"{name} {value}" for name, value in settings.items())
        return Configured(bench.model, steps=calls, sigmas=levels, note=shown)

    return contestant


CONTESTANTS: dict[str, Contestant] = {
    "GITS grid, euler": host_grid("GITSScheduler", "nodes_gits", coeff=1.2),
    "OptimalSteps grid, euler": host_grid(
        "OptimalStepsScheduler", "nodes_optimalsteps", model_type="FLUX"
    ),
    "AlignYourSteps grid, euler": host_grid(
        "AlignYourStepsScheduler", "nodes_align_your_steps", model_type="SDXL"
    ),
}
