"""The one exception that `otcache_core` raises for bad input."""


class OTCacheError(ValueError):
    """A value that breaks a rule; the message states the rule, the value and what to do."""
