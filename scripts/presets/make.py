"""Writes the presets that need no model: `python -m scripts.presets.make`.

Three hold published schedules as they are. Two are for models of a kind, estimate adaptively and
stand at shares of the run, not at noise levels: for flow matching the published schedules blended
with one of the bundled model's, for noise prediction even spacing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from otcache_core.calibration.learning import EVENNESS
from otcache_core.documents.anchor import (
    SUFFIX,
    Anchor,
    LearnedInRuns,
    LookBackTable,
    Sampling,
    save_anchor,
)
from otcache_core.documents.schedule import Schedule
from otcache_core.gaps import ending_at, uniform_steps
from otcache_core.transport import realise, warping_curve
from scripts.host.find import REPOSITORY
from scripts.presets.published import PUBLISHED, STEPS, Published

PRESETS = REPOSITORY / "presets"
FLOW, NOISE = "flow-matching (generic)", "sdxl-like (generic)"
LOW, HIGH = 8, 20
"""Budgets wanted of an anchor and a reference; the nearest published ones serve."""

SMALL_MODEL = {
    LOW: (0, 5, 11, 18, 28, 36, 42, 47),
    HIGH: (0, 1, 3, 5, 7, 9, 12, 15, 18, 22, 26, 30, 34, 37, 40, 43, 45, 47, 48, 49),
}
"""Computed steps, by budget, of a calibration of the bundled model.

Facts, like the published ones: the flow preset was judged with them on the five grounds that flow
(`ground-*.json`, `auto.json`), and does not move when the bundled anchor is calibrated anew.
"""

PUBLISHED_PROVENANCE = (
    "Published, not searched, not verified here. Steps and look-backs for {budgets} model calls "
    "are those of MeanCache's public inference script for {model} (arXiv 2601.19961), calibrated "
    "by its authors with 50 Euler steps, guidance 4 and {width}x{height} in their own pipeline. "
    "Budgets in between are predicted from these two by OTCache; their look-backs are those of the "
    "nearest published edge. Nobody has measured this preset in ComfyUI yet: calibrate your own "
    "anchor where quality matters."
)
GENERIC_PROVENANCE = (
    "A guess for flow-matching models that have no anchor of their own, not a calibration. Which "
    "steps run the model is half a schedule that was calibrated on the small model that ships "
    "with the pack, half the mean of the published MeanCache schedules for Z-Image, Qwen-Image and "
    "Qwen-Image-2512, which spend more of their calls early; predicted steps move half-way to even "
    "spacing, and with few calls the last is one step before the end. How skipped steps are "
    "estimated is learned in each run (the adaptive estimator). On small models it was closer to "
    "the full run than as many plain Euler steps at 8, 10, 12, 15 and 20 calls; an anchor of the "
    "model's own is closer with few calls and at low guidance. On full-size models it was never "
    "measured."
)
NOISE_PROVENANCE = (
    "A guess for SDXL-like models (eps or v prediction) that have no anchor of their own, not a "
    "calibration. The steps that run the model are evenly spaced, with few calls up to one step "
    "before the end; how skipped steps are estimated is learned in each run (the adaptive "
    "estimator). On a small model of SD 1.5's class it was closer to the full run than as many "
    "plain Euler steps at 8, 10, 12, 15 and 20 calls, at low and at high guidance; an anchor of "
    "the model's own is closer at low guidance. It was never measured on SDXL or SD 1.5 themselves."
)


def _table(published: Published) -> LookBackTable:
    """Look-backs for every edge: the nearest published edge's, by its place and length."""
    edges = [
        (t, s - t, k)
        for steps, look_back in published.schedules.values()
        for t, s, k in zip(steps, steps[1:], look_back, strict=False)
        if s - t > 1
    ]

    def nearest(start: int, length: int) -> int:
        if length == 1:
            return 1
        return min(edges, key=lambda e: (abs(e[0] - start) + abs(e[1] - length), e[0]))[2]

    return tuple(tuple(nearest(t, s - t) for s in range(t + 1, STEPS)) for t in range(STEPS - 1))


def published_anchor(published: Published) -> Anchor:
    """A preset of the published schedules nearest to the budgets wanted."""
    low, high = (min(published.schedules, key=lambda b: abs(b - want)) for want in (LOW, HIGH))
    width, height = published.size
    return Anchor(
        name=published.model,
        architecture=published.architecture,
        reference=Schedule(STEPS, published.schedules[high][0], "meancache",
                           published.schedules[high][1]),
        anchor=Schedule(STEPS, published.schedules[low][0], "meancache",
                        published.schedules[low][1]),
        sampling=Sampling("euler", "simple", 4.0, None, width, height),
        look_back_table=_table(published),
        provenance=PUBLISHED_PROVENANCE.format(
            budgets=f"{low} and {high}", model=published.model, width=width, height=height
        ),
    )  # fmt: skip


def _blend(schedules: Iterable[Schedule], budget: int) -> Schedule:
    """The Wasserstein barycentre of schedules, equal weights, at one budget."""
    known = list(schedules)
    curves = [warping_curve(s.computed_steps, s.steps) for s in known]
    curve = np.mean(curves, axis=0)
    nodes = realise(curve / curve[-1], budget, STEPS, rho=1.0)
    return Schedule(STEPS, nodes, "adaptive")


def _early(schedule: Schedule) -> Schedule:
    """The same shape with its last call one step before the end.

    On seven models the node OTCache is as close or closer with it at 8 and 11 calls (`auto.json`).
    At 50 steps (`ground-*.json`) so is this preset at 8 to 12, but for one hard model of six, which
    loses a fifth at 10 and 12. The reference has the last step: with more calls the predicted end
    comes back to it.
    """
    return Schedule(STEPS, ending_at(schedule.computed_steps, STEPS - 2), "adaptive")


def generic_anchor(*, small_model: bool = True) -> Anchor:
    """The preset for flow-matching models: the small model's and the published ones, halves.

    Args:
        small_model: Whether its steps are in it; without them it can be judged on that very model.
    """
    others = [published_anchor(published) for published in PUBLISHED]
    own = {budget: Schedule(STEPS, steps, "adaptive") for budget, steps in SMALL_MODEL.items()}
    low = [own[LOW]] * (len(others) * small_model) + [other.anchor for other in others]
    high = [own[HIGH]] * (len(others) * small_model) + [other.reference for other in others]
    return Anchor(
        name=FLOW,
        architecture="flow matching",
        reference=_blend(high, HIGH),
        anchor=_early(_blend(low, LOW)),
        sampling=Sampling("euler", "simple"),
        rho=1.0,
        learned_in_runs=LearnedInRuns(2, EVENNESS),
        provenance=GENERIC_PROVENANCE,
    )


def noise_anchor() -> Anchor:
    """The preset for noise prediction: even spacing."""
    low, high = (Schedule(STEPS, uniform_steps(b, STEPS), "adaptive") for b in (LOW, HIGH))
    return Anchor(
        name=NOISE,
        architecture="noise prediction",
        reference=high,
        anchor=_early(low),
        sampling=Sampling("euler", "normal"),
        rho=1.0,
        provenance=NOISE_PROVENANCE,
    )


def presets() -> dict[str, Anchor]:
    """Every preset that this script writes, by its file's name without the suffix."""
    made = {published.preset: published_anchor(published) for published in PUBLISHED}
    return made | {FLOW: generic_anchor(), NOISE: noise_anchor()}


def main() -> int:
    """Command line."""
    for name, anchor in presets().items():
        save_anchor(anchor, PRESETS / f"{name}{SUFFIX}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
