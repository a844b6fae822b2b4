"""Image pair → matches; one protocol, a file a matcher (in `backends/`)."""

from geo_nav.matching.config import MatchingConfig
from geo_nav.matching.errors import MatchingError
from geo_nav.matching.protocol import Features, Matcher, Matches
from geo_nav.matching.registry import create_matcher, matcher_names, matcher_networks, register_matcher

__all__ = [
    "Features",
    "Matcher",
    "Matches",
    "MatchingConfig",
    "MatchingError",
    "create_matcher",
    "matcher_names",
    "matcher_networks",
    "register_matcher",
]
