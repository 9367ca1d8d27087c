"""What a model's first pictures teach its later ones, kept as an ordinary anchor document.

Each cached run shows how far the model's slopes go on as they came (``run_time.slope_trust``). That
costs no model call and can be seen in cached runs alone, so that no picture has to be computed in
full for it. Their mean says whether later runs of many calls have finer steps, and how far to trust
slopes in parts of runs; after a few pictures it is held, so that one seed goes on giving one
picture, unless every picture is to teach.
"""
# Not in the paper, which calibrates. Measured by ``nox -s bench -- auto``.

from __future__ import annotations

from dataclasses import replace

from .documents.anchor import Anchor, Sampling
from .documents.facts import LearnedInRuns

ENOUGH = 4
"""Pictures after which nothing more is learned where the first ones are to teach."""

MOST = 64
"""What is known weighs like so many pictures at most, so that every later one has a say."""


def begin_learning(
    generic: Anchor, *, name: str, architecture: str, weights: str, sampling: Sampling
) -> Anchor:
    """The document of a model that has taught nothing yet: the generic preset's steps.

    Args:
        generic: Has ``learned_in_runs``.
        name, architecture, weights, sampling: As ``Anchor`` has them.
    """
    return replace(
        generic, name=name, architecture=architecture, weights=weights, sampling=sampling,
        provenance="Learned in runs of the node OTCache, not calibrated.",
    )  # fmt: skip


def learn(anchor: Anchor, steadiness: float, pictures: int) -> Anchor:
    """The document with what a run has shown; what is known already weighs by its pictures.

    Args:
        anchor: From ``begin_learning``, or this.
        steadiness: What the run showed, its mean over pictures.
        pictures: The run's, at least 1.
    """
    known = _known(anchor)
    weight = min(known.pictures, MOST)
    mean = (weight * (known.steadiness or 0.0) + pictures * steadiness) / (weight + pictures)
    count = known.pictures + pictures
    return replace(
        anchor, learned_in_runs=replace(known, steadiness=round(mean, 4), pictures=count)
    )


def has_learned(anchor: Anchor) -> bool:
    """Whether its model has shown enough pictures."""
    return _known(anchor).pictures >= ENOUGH


def _known(anchor: Anchor) -> LearnedInRuns:
    return anchor.learned_in_runs or LearnedInRuns(anchor.anchor.budget)
