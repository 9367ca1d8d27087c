"""The exceptions that every part of the pack raises for bad input."""

from __future__ import annotations


class OTCacheError(ValueError):
    """Bad input; the message states the rule, the value that broke it and what to do."""


class EvaluationError(OTCacheError):
    """One candidate of a search could not be evaluated; the search goes on without it."""
