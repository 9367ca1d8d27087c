"""Fits of a calibration, kept so that none is made twice and other workers find them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ..gaps import Candidate, candidate
from ..search.storage import quiet_optuna


class GainFits:
    """Fits of one calibration, kept in an Optuna study so that none is made twice.

    Args:
        storage: The calibration's Optuna storage, or ``None`` for memory.
        name: Name of the study.
    """

    def __init__(self, storage: Any, name: str) -> None:
        import optuna

        with quiet_optuna():
            self._study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        self._known: dict[str, Candidate] = {}

    @property
    def model_calls(self) -> int:
        """Model calls spent on all fits, those of earlier sittings too."""
        return sum(int(kept["model_calls"]) for kept in self._study.user_attrs.values())

    def keep(
        self, what: object, fit: Callable[[], Candidate], model_calls: Callable[[], int]
    ) -> Candidate:
        """What a fit finds, or what it found before.

        Args:
            what: Says what is fitted; its ``repr`` is the key.
            fit: Makes the fit.
            model_calls: Counts the model calls made so far.
        """
        # A storage bounds the length of names.
        key = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        if key in self._known:
            return self._known[key]
        kept = self._study.user_attrs.get(key)
        if kept is None:
            before, found = model_calls(), fit()
            kept = {
                "computed_steps": found.computed_steps,
                "slope_gain": found.slope_gain,
                "drift": found.drift,
                "model_calls": model_calls() - before,
            }
            self._study.set_user_attr(key, kept)
        self._known[key] = candidate(
            *(tuple(kept[name]) for name in ("computed_steps", "slope_gain", "drift"))
        )
        return self._known[key]
