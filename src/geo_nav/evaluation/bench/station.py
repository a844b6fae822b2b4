"""A frame set with its site loaded: where queries are registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from geo_nav.evaluation.bench.frame_sets import BenchFrame, FrameSet, Image, resized_to
from geo_nav.evaluation.bench.laws import PriorErrorLaw
from geo_nav.evaluation.bench.results import QueryResult, score
from geo_nav.evaluation.errors import EvaluationError
from geo_nav.geodesy import Pose
from geo_nav.matching import Matcher, create_matcher
from geo_nav.registration import AbsolutePose, Registrar, RegistrationConfig
from geo_nav.registration.sharpness import texel_size
from geo_nav.rendering import create_renderer
from geo_nav.site.height_map import HeightMap

_LEAST_HEIGHT = 1.5
"""Height above ground (m) below which a camera is not taken to be: under a crown or a roof the map says less."""
_NEAR = 100.0
"""Where the site has a hole below the camera, the ground within this distance (m) tells the height."""


@dataclass(frozen=True, eq=False)
class Query:
    """A picture with a prior.

    Attributes:
        name: of the picture.
        draw: number of the prior.
        read: the picture, in whatever size.
        place: pose that the prior errs from.
        truth: of the picture; None where it shows no place of the site.
        law: of the prior's error.
        key: of the prior's random error: it depends on nothing else.
    """

    name: str
    draw: int
    read: Callable[[], Image]
    place: Pose
    truth: Pose | None
    law: PriorErrorLaw
    key: tuple[int, ...]


class Station:
    """Loads the site of a frame set and registers queries against it.

    Args:
        frame_set: whose site it is; closed with the station.

    Attributes:
        frame_set: the same.
        site: its site.
        renderer: of the site.
    """

    def __init__(self, frame_set: FrameSet) -> None:
        self.frame_set = frame_set
        self.site = frame_set.load_site()
        self.renderer = create_renderer(self.site)
        self._texel = texel_size(self.site)
        self._heights = HeightMap(self.site)
        self._matchers: dict[str, Matcher] = {}

    def __enter__(self) -> Station:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Frees the renderer and the frame set."""
        self.renderer.close()
        self.frame_set.close()

    def registrar(self, matcher: str, config: RegistrationConfig, options: dict[str, Any]) -> Registrar:
        """A registrar of this site.

        Args:
            matcher: name.
            config: of registration.
            options: of the matcher.
        """
        return Registrar(self.renderer, self.matcher(matcher, options), config, self.site.error, self._texel)

    def matcher(self, name: str, options: dict[str, Any]) -> Matcher:
        """A matcher; the same one whenever the same is asked for, because its networks take seconds and gigabytes."""
        key = f"{name} {sorted(options.items())}"
        if key not in self._matchers:
            self._matchers[key] = create_matcher(name, **options)
        return self._matchers[key]

    def height_above_ground(self, pose: Pose) -> float:
        """Of a camera, metres; :data:`_LEAST_HEIGHT` at least.

        Raises:
            EvaluationError: there is no ground near.
        """
        east, north, up = pose.translation
        ground = float(self._heights(east, north))
        if not np.isfinite(ground):
            offsets = np.linspace(-_NEAR, _NEAR, 9)
            near = self._heights(*np.meshgrid(east + offsets, north + offsets))
            if not np.isfinite(near).any():
                raise EvaluationError(
                    f"{self.frame_set.name}: the site has no ground within {_NEAR:g} m of {east:.0f} m east, "
                    f"{north:.0f} m north: a prior's height error cannot be drawn"
                )
            ground = float(np.nanmedian(near))
        return max(_LEAST_HEIGHT, float(up) - ground)

    def prior(self, query: Query) -> tuple[Pose, np.ndarray[Any, np.dtype[np.float64]]]:
        """The random prior of a query, and its covariance (6, 6)."""
        height = self.height_above_ground(query.place) if query.law.height is not None else 0.0
        rng = np.random.default_rng(list(query.key))
        return query.law.draw(query.place, rng, height), query.law.covariance(height)

    def register(self, registrar: Registrar, query: Query) -> tuple[AbsolutePose, QueryResult]:
        """Registers a query: the answer and its score."""
        camera = self.frame_set.camera
        prior, covariance = self.prior(query)
        found = registrar.register(resized_to(query.read(), camera), camera, prior, covariance)
        return found, score(query.name, query.draw, prior, found, query.truth)


def frame_queries(frames: list[BenchFrame], law: PriorErrorLaw, seed: int, repeat: int = 1) -> list[Query]:
    """Each frame at its own place, ``repeat`` times, each time with another prior."""
    return [
        Query(f.name, draw, f.read, f.T_map_camera, f.T_map_camera, law, (seed, f.number, draw))
        for draw in range(repeat)
        for f in frames
    ]
