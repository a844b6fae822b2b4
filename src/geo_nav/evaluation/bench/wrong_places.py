"""Pictures offered where they were not taken: nothing of it may be accepted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from geo_nav.evaluation.bench.accuracy import Step, opened
from geo_nav.evaluation.bench.frame_sets import BenchFrame, Image
from geo_nav.evaluation.bench.laws import LAWS
from geo_nav.evaluation.bench.results import QueryResult
from geo_nav.evaluation.bench.station import Query, Station
from geo_nav.geodesy import Pose

KINDS = ("other_place", "impostor", "mirrored", "rotated", "noise", "bare_field")
"""What is offered: frames at another place of their site; photographs of other sites; frames mirrored, and turned by
180°, at their own place; noise; drawn ploughed fields."""

_AWAY = 100.0
"""Another place is at least as far from the frame's own, metres …"""
_FOOTPRINTS = 1.5
"""… or as many widths of the ground in view: the two pictures then have nothing in common."""
_LEVEL = 0.3
"""A camera whose optical axis points down by less than this sees to the horizon: its footprint has no width."""
_HALF_TURN = Pose(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))


def measure_wrong_places(
    station: Station,
    kind: str,
    matcher: str,
    tries: int,
    frames: int,
    seed: int,
    options: dict[str, Any],
    impostors: Sequence[BenchFrame],
    step: Step,
) -> list[QueryResult]:
    """Registers pictures where they were not taken, with the gate on false alarms open.

    Each law of :data:`~geo_nav.evaluation.bench.laws.LAWS` gives the priors in turn.

    Args:
        station: of the set at whose places they are offered.
        kind: one of :data:`KINDS`.
        matcher: name.
        tries: number of them.
        frames: number of the set's frames that are offered.
        seed: of what is offered where.
        options: of the matcher.
        impostors: photographs of other sites.
        step: called after each.

    Returns:
        one result a try; none where the set has nothing of the kind to offer.
    """
    registrar = station.registrar(matcher, opened(station.frame_set.config), options)
    results = []
    for query in wrong_queries(station, kind, tries, frames, seed, impostors):
        results.append(station.register(registrar, query)[1])
        step()
    return results


def wrong_queries(
    station: Station, kind: str, tries: int, frames: int, seed: int, impostors: Sequence[BenchFrame]
) -> list[Query]:
    """The queries of :func:`measure_wrong_places`."""
    own = list(station.frame_set.frames(frames))
    places = station.frame_set.places()
    others = {f.number: _far_from(station, f.T_map_camera, places) for f in own} if kind == "other_place" else {}
    if kind == "other_place":
        own = [frame for frame in own if others[frame.number]]
    if not own or (kind == "impostor" and not impostors):
        return []
    queries = []
    for number in range(tries):
        key = (seed, 1 + KINDS.index(kind), number)
        rng = np.random.default_rng(list(key))
        frame = own[int(rng.integers(len(own)))]
        name, read, place, truth = _offer(station, kind, frame, others.get(frame.number, []), impostors, rng)
        law = list(LAWS.values())[number % len(LAWS)]
        # Its own stream: what is offered and how the prior errs are independent.
        queries.append(Query(name, number, read, place, truth, law, (*key, 1)))
    return queries


def _far_from(station: Station, here: Pose, places: Sequence[Pose]) -> list[Pose]:
    away = least_distance(station, here)
    return [place for place in places if place.distance_to(here) >= away]


def _offer(
    station: Station,
    kind: str,
    frame: BenchFrame,
    others: Sequence[Pose],
    impostors: Sequence[BenchFrame],
    rng: np.random.Generator,
) -> tuple[str, Callable[[], Image], Pose, Pose | None]:
    """Name, picture, place at which it is offered, and true pose; None where it shows no place of the site."""
    here = frame.T_map_camera
    camera = station.frame_set.camera
    if kind == "other_place":
        return frame.name, frame.read, others[int(rng.integers(len(others)))], here
    if kind == "impostor":
        impostor = impostors[int(rng.integers(len(impostors)))]
        return impostor.name, impostor.read, here, None
    if kind == "mirrored":
        return f"{frame.name} mirrored", lambda: np.ascontiguousarray(frame.read()[:, ::-1]), here, None
    if kind == "rotated":
        # A picture turned by 180° is that of a camera turned about its axis: to find it is no error.
        turned = here @ _HALF_TURN
        return f"{frame.name} turned", lambda: np.ascontiguousarray(frame.read()[::-1, ::-1]), here, turned
    draw = noise_picture if kind == "noise" else bare_field
    stream = int(rng.integers(2**31))
    size = (camera.height, camera.width)
    return f"{kind} {stream}", lambda: draw(size, np.random.default_rng(stream)), here, None


def least_distance(station: Station, pose: Pose) -> float:
    """How far another place must be from this one, metres."""
    camera = station.frame_set.camera
    down = -float(pose.rotation[2, 2])
    if down < _LEVEL:
        return _AWAY
    footprint = station.height_above_ground(pose) / down * max(camera.width / camera.fx, camera.height / camera.fy)
    return min(_AWAY, _FOOTPRINTS * footprint)


def noise_picture(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Noise of a random grain, full contrast.

    Args:
        size: (height, width) of the picture.
        rng: source.
    """
    grain = math.exp(rng.uniform(0.0, math.log(24.0)))
    coarse = rng.standard_normal((max(2, int(size[0] / grain)), max(2, int(size[1] / grain)), 3)).astype(np.float32)
    noise = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(128.0 + 50.0 * noise, 0, 255), np.uint8)


def bare_field(size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A ploughed field from above: soil in patches, furrows in one direction, grain; nothing that tells where it is.

    Args:
        size: (height, width) of the picture.
        rng: source.
    """
    height, width = size
    v, u = np.mgrid[:height, :width].astype(np.float32)
    scale = width / 640.0
    patches = cv2.resize(rng.standard_normal((4, 5)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    bend = cv2.resize(rng.standard_normal((6, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    angle, period = rng.uniform(0.0, math.pi), scale * rng.uniform(6.0, 40.0)
    phase = 2.0 * np.pi / period * (u * math.cos(angle) + v * math.sin(angle)) + 0.5 * bend
    light = 1.0 + 0.10 * patches + rng.uniform(0.03, 0.15) * np.sin(phase)
    light = light + 0.05 * rng.standard_normal(size, np.float32)
    soil = np.array([128.0, 106.0, 84.0]) * rng.uniform(0.7, 1.3)
    return np.asarray(np.clip(light[..., None] * soil, 0, 255), np.uint8)
