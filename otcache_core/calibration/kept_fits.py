"""Fits of a calibration and what its runs have shown, kept so that nothing is found twice and other
workers find it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from ..documents.schedule import COEFFICIENTS, coefficient_values
from ..gaps import Candidate, candidate
from ..search.storage import quiet_optuna

_FIELDS = ("computed_steps", *COEFFICIENTS)


class GainFits:
    """Fits of one calibration, and what runs have shown, kept in an Optuna study.

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
        """Model calls spent on all of it, those of earlier sittings too."""
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
        key = _key(what)
        if key not in self._known:

            def found() -> dict[str, Any]:
                of = fit()
                values = (of.computed_steps, *coefficient_values(of))
                return dict(zip(_FIELDS, values, strict=True))

            kept = self._find(key, found, model_calls)
            self._known[key] = candidate(*(tuple(kept[name]) for name in _FIELDS))
        return self._known[key]

    def keep_numbers(
        self, what: object, find: Callable[[], Sequence[float]], model_calls: Callable[[], int]
    ) -> list[float]:
        """Numbers that runs show, or showed before; arguments as ``keep`` has them."""
        kept = self._find(_key(what), lambda: {"numbers": list(find())}, model_calls)
        return [float(number) for number in kept["numbers"]]

    def _find(
        self, key: str, find: Callable[[], dict[str, Any]], model_calls: Callable[[], int]
    ) -> dict[str, Any]:
        kept: dict[str, Any] | None = self._study.user_attrs.get(key)
        if kept is None:
            before = model_calls()
            kept = find()
            kept["model_calls"] = model_calls() - before
            self._study.set_user_attr(key, kept)
        return kept


def _key(what: object) -> str:
    """A name for it: a storage bounds their length."""
    # Fits from before a coefficient came to be are others.
    return hashlib.sha256(repr((what, _FIELDS)).encode()).hexdigest()[:16]
