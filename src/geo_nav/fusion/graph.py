"""The fixed-lag window: states at measurement stamps, IMU factors in between, solved by iSAM2.

Keys: ``X(i)`` pose of `base_link` in `map`, ``V(i)`` velocity in `map`, ``B(i)`` IMU bias. The index i counts states as
they are made, not in time: a late measurement makes a state of a high index between two of lower ones. A state lives
from the update that makes it until it is older than the lag; then iSAM2 marginalises it and its keys never return.
``A(n)`` is an auxiliary variable in one bucket of time (see :mod:`geo_nav.fusion.auxiliary`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt
from gtsam.symbol_shorthand import B, V, X

from geo_nav.fusion.auxiliary import Chain, GaussMarkov, Node, columns, means
from geo_nav.fusion.belief import Belief, graph_jacobian
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.graduation import Graduation
from geo_nav.fusion.imu_buffer import ImuBuffer
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.isam2 import qr_parameters
from geo_nav.fusion.keys import StateKeys
from geo_nav.fusion.linear_prior import linear_prior
from geo_nav.fusion.measurements import Measurement
from geo_nav.fusion.relative import RelativePose
from geo_nav.fusion.slots import FactorSlots

Array = npt.NDArray[np.float64]

_ITERATIONS = 4
"""At most so many Gauss-Newton steps an update."""

_GRADUATIONS = 2
"""At most so many solutions an update with other weights of the fixes."""

_LARGE_CORRECTION = 0.1
"""A further step is made when the newest pose moved by more than this, m and rad."""

_DIFFERENCE = 1e-3
"""Step of the derivatives by auxiliary variables, as a share of their sigma."""


@dataclass(frozen=True)
class State:
    """A state of the window."""

    index: int
    stamp: float


class GraphWindow:
    """The factor graph of the last ``config.lag`` seconds. Not thread-safe: one worker calls it.

    Every method lets GTSAM's exceptions through; the caller starts the window anew from the last good belief.

    Args:
        config: settings.
        imu: the samples; must reach from the window's first state to every new one.
        model: preintegration.
        first: the belief that the window starts from.
    """

    def __init__(self, config: FusionConfig, imu: ImuBuffer, model: ImuModel, first: Belief) -> None:
        self._config = config
        self._imu = imu
        self._model = model
        self._smoother = gtsam.IncrementalFixedLagSmoother(config.lag, qr_parameters())
        self._states: list[State] = []
        self._slots = FactorSlots()
        self._next_index = 0
        self._next_node = 0
        self._chains: dict[str, Chain] = {}
        self._beliefs: dict[int, Belief] = {}
        self._graduation = Graduation(config) if config.robust_loss == "gnc" else None
        self._start(first)

    @property
    def states(self) -> Sequence[State]:
        """The states in order of time."""
        return self._states

    def _start(self, first: Belief) -> None:
        """A linear prior, so that the correlations of pose, velocity, bias and auxiliary variables are kept."""
        state = self._new_state(first.stamp)
        values = self._values(state, first)
        keys = [X(state.index), V(state.index), B(state.index)]
        for walk in first.walks:
            chain = self._new_chain(walk, first.stamp)
            values.insert(chain.nodes[0].key, first.value(walk))
            keys.append(chain.nodes[0].key)
        graph = gtsam.NonlinearFactorGraph()
        graph.add(linear_prior(first, keys))
        self._smoother.update(graph, values, self._timestamps([state]))
        self._states = [state]

    def _new_state(self, stamp: float) -> State:
        state = State(self._next_index, stamp)
        self._next_index += 1
        return state

    @staticmethod
    def _values(state: State, belief: Belief) -> Any:
        values = gtsam.Values()
        values.insert(X(state.index), belief.nav.pose())
        values.insert(V(state.index), belief.nav.velocity())
        values.insert(B(state.index), belief.bias)
        return values

    def _timestamps(self, created: list[State]) -> Any:
        """Of the new states, and of the auxiliary variables, whose newest nodes grow older with the newest state."""
        stamps = {key(s.index): s.stamp for s in created for key in (X, V, B)}
        newest = max(s.stamp for s in (*self._states, *created))
        for chain in self._chains.values():
            stamps |= chain.timestamps(newest)
        return stamps

    def estimate(self, state: State) -> tuple[Any, Any]:
        """``gtsam.NavState`` and bias of a state, as last solved."""
        pose = self._smoother.calculateEstimatePose3(X(state.index))
        velocity = self._smoother.calculateEstimateVector(V(state.index))
        return gtsam.NavState(pose, velocity), self._smoother.calculateEstimateConstantBias(B(state.index))

    def belief(self, state: State) -> Belief:
        """The solved state with its joint covariance; kept until the next update, for it costs as much as a solve."""
        i = state.index
        if i in self._beliefs:
            return self._beliefs[i]
        nav, bias = self.estimate(state)
        nodes = [chain.at(state.stamp) for chain in self._chains.values()]
        joint = self._smoother.getISAM2().jointMarginalCovariance([X(i), V(i), B(i), *nodes]).fullMatrix()
        walks = tuple(chain.walk for chain in self._chains.values())
        values = np.concatenate([np.zeros(0), *(self._smoother.calculateEstimateVector(node) for node in nodes)])
        jacobian = graph_jacobian(nav.attitude().matrix(), len(values))
        self._beliefs[i] = Belief(state.stamp, nav, bias, jacobian @ joint @ jacobian.T, walks, values)
        return self._beliefs[i]

    def newest(self) -> Belief:
        """The newest solved state."""
        return self.belief(self._states[-1])

    def predict(self, stamp: float, walks: Sequence[GaussMarkov] = ()) -> Belief:
        """The belief at any stamp of the window, from the solved state before it and the IMU in between.

        Args:
            stamp: s.
            walks: auxiliary variables that the belief must know, new or not.
        """
        before = self._states[max(0, self._before(stamp))]
        return self.belief(before).propagated(self._imu.segments(before.stamp, stamp), self._model).joined(walks)

    def _before(self, stamp: float) -> int:
        return bisect_right([s.stamp for s in self._states], stamp) - 1

    def update(
        self,
        measurements: Sequence[Measurement],
        stamps: Sequence[float] = (),
        tracks: Sequence[RelativePose] = (),
        reweighed: Sequence[Measurement] = (),
    ) -> None:
        """Make the states that the measurements need, add their factors, and solve.

        Args:
            measurements: each not before the oldest state and not after the newest IMU sample.
            stamps: further stamps that need a state.
            tracks: motions between two stamps, at most one for each reference; it takes the place of an earlier one.
            reweighed: measurements that take the place of those of their kind and stamp.
        """
        before = self._smoother.calculateEstimatePose3(X(self._states[-1].index))
        merged = list(self._states)
        created: list[State] = []
        ends = {stamp for track in tracks for stamp in (track.reference_stamp, track.stamp)}
        for stamp in sorted({*stamps, *ends, *(m.stamp for m in measurements)}):
            self._place(stamp, merged, created)
        graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
        beliefs = self._predict_new(merged, {s.index for s in created})
        for state in created:
            values.insert(self._values(state, beliefs[state.index]))
        links, removed = self._link(merged, graph, beliefs)
        begun = self._extend_chains(measurements, tracks, merged, beliefs, values)
        references = []
        for track in tracks:
            reference, factor = self._track_factor(track, merged, beliefs)
            graph.add(factor)
            references.append(reference)
            if track.reference_stamp in self._slots.tracks:
                removed.append(self._slots.tracks.pop(track.reference_stamp)[1])
        weighed = []
        places: dict[tuple[str, float], list[int]] = {}
        # GNC weighs fixes itself.
        replacing, replaced = self._slots.take_out(reweighed if self._graduation is None else ())
        for measurement in (*measurements, *replacing):
            for factor in self._factors(measurement, merged, beliefs):
                if self._graduation is not None and measurement.is_fix:
                    weighed.append((factor, graph.size()))
                places.setdefault((measurement.kind, measurement.stamp), []).append(graph.size())
                graph.add(factor)
        for factor in begun:
            graph.add(factor)
        self._beliefs.clear()
        self._smoother.update(graph, values, self._timestamps(created), [*removed, *replaced])
        slots = self._smoother.getISAM2Result().getNewFactorsIndices()
        # The links were added to the graph before everything else, and the tracks next.
        for link, slot in zip(links, slots, strict=False):
            self._slots.links[link] = slot
        for track, reference, slot in zip(tracks, references, slots[len(links) :], strict=False):
            self._slots.tracks[track.reference_stamp] = (reference, slot)
        for key, where in places.items():
            self._slots.measurements[key] = [slots[place] for place in where]
        self._states = merged
        newest = merged[-1].index
        self._converge(beliefs[newest].nav.pose() if newest in beliefs else before)
        if self._graduation is not None:
            for factor, place in weighed:
                self._graduation.take(factor, slots[place])
        self._forget()
        self._graduate()

    def _place(self, stamp: float, merged: list[State], created: list[State]) -> None:
        """Make a state at the stamp, unless one is near; and one at either end of every IMU gap on the way to it."""
        k = bisect_right([s.stamp for s in merged], stamp)
        near = [s for s in merged[max(0, k - 1) : k + 1] if abs(s.stamp - stamp) < self._config.min_state_spacing]
        if near:
            return
        if k == len(merged):
            for segment in self._imu.segments(merged[-1].stamp, stamp)[:-1]:
                if segment.end - merged[-1].stamp > 1e-6:
                    created.append(self._new_state(segment.end))
                    merged.append(created[-1])
            k = len(merged)
        created.append(self._new_state(stamp))
        merged.insert(k, created[-1])

    def _predict_new(self, merged: list[State], created: set[int]) -> dict[int, Belief]:
        """Initial values of the new states; covariances are not needed here, so they are left zero."""
        beliefs: dict[int, Belief] = {}
        for before, state in pairwise(merged):
            if state.index in created:
                start = beliefs.get(before.index) or Belief(before.stamp, *self.estimate(before), np.zeros((15, 15)))
                beliefs[state.index] = start.propagated(self._imu.segments(before.stamp, state.stamp), self._model)
        return beliefs

    def _link(
        self, merged: list[State], graph: Any, beliefs: dict[int, Belief]
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """IMU factors between neighbours that have none; those between states that are neighbours no more go."""
        wanted = {(a.index, b.index): (a, b) for a, b in pairwise(merged)}
        links = [link for link in wanted if link not in self._slots.links]
        for link in links:
            a, b = wanted[link]
            nav, bias = (beliefs[a.index].nav, beliefs[a.index].bias) if a.index in beliefs else self.estimate(a)
            segments = self._imu.segments(a.stamp, b.stamp)
            pim = self._model.preintegration(bias, nav.position(), any(s.gap for s in segments))
            for segment in segments:
                for row in segment.rows:
                    pim.integrateMeasurement(*row)
            i, j = a.index, b.index
            graph.add(gtsam.CombinedImuFactor(X(i), V(i), X(j), V(j), B(i), B(j), pim))
        return links, self._slots.unlink(set(wanted))

    def _factors(self, measurement: Measurement, merged: list[State], beliefs: dict[int, Belief]) -> list[Any]:
        state, start = self._nearest(measurement.stamp, merged, beliefs)
        nodes = tuple(self._chains[walk.name].at(measurement.stamp) for walk in measurement.walks if walk.estimated)
        measurement = measurement.placed(start)
        if state.stamp != measurement.stamp:
            measurement = measurement.moved(self._drifted(start, measurement.stamp), start)
        return measurement.factors(StateKeys.of(state.index, nodes), self._config)

    def _new_chain(self, walk: GaussMarkov, stamp: float) -> Chain:
        self._chains[walk.name] = Chain(walk, stamp, self._next_node)
        self._next_node += 1
        return self._chains[walk.name]

    def _extend_chains(
        self,
        measurements: Sequence[Measurement],
        tracks: Sequence[RelativePose],
        merged: list[State],
        beliefs: dict[int, Belief],
        values: Any,
    ) -> list[Any]:
        """Begin the chains that measurements and tracks need, carry all on to the newest state; give the new factors.

        A chain begins at the oldest state, not at its first measurement: that one may not stay the oldest.
        """
        factors: list[Any] = []
        started: dict[str, Array] = {}
        users: list[Measurement | RelativePose] = [*measurements, *tracks]
        for m in users:
            new = [walk for walk in m.walks if walk.estimated and walk.name not in self._chains]
            if isinstance(m, RelativePose) or not new:
                first = means(new)
            else:
                first = self._first_values(m, new, merged, beliefs)
            for walk, column in zip(new, columns(new), strict=True):
                started[walk.name] = first[column]
                node = self._new_chain(walk, merged[0].stamp).nodes[0]
                values.insert(node.key, first[column])
                factors.append(walk.prior(node.key))
        for name, chain in self._chains.items():
            last = chain.nodes[-1]
            value = started[name] if name in started else self._smoother.calculateEstimateVector(last.key)
            factors += self._extend(chain, last, merged[-1].stamp, value, values)
        return factors

    def _extend(self, chain: Chain, last: Node, stamp: float, value: Array, values: Any) -> list[Any]:
        factors = []
        walk = chain.walk
        for node in chain.extend(stamp, self._next_node):
            value = walk.mean + walk.step(walk.bucket)[0] * (value - walk.mean)
            values.insert(node.key, value)
            factors.append(walk.link(last.key, node.key, walk.bucket))
            last = node
            self._next_node += 1
        return factors

    def _first_values(
        self, measurement: Measurement, new: Sequence[GaussMarkov], merged: list[State], beliefs: dict[int, Belief]
    ) -> Array:
        """What the first measurement says of new auxiliary variables, taking the state for true (Kalman update).

        From the expected values the first measurement may be so far off that its robust loss would hide it.
        """
        _, near = self._nearest(measurement.stamp, merged, beliefs)
        exact = replace(near, covariance=np.zeros((15, 15)), walks=(), values=np.zeros(0)).joined(new)
        measurement = measurement.placed(near)
        error, covariance = measurement.innovation(exact)
        steps = np.diag([_DIFFERENCE * walk.sigma for walk in new for _ in walk.mean])
        changed = [measurement.innovation(replace(exact, values=exact.values + step))[0] for step in steps]
        jacobian = (error - np.array(changed)) / np.diag(steps)[:, None]
        first: Array = exact.values + exact.covariance[15:, 15:] @ jacobian @ np.linalg.solve(covariance, error)
        return first

    def _track_factor(self, track: RelativePose, merged: list[State], beliefs: dict[int, Belief]) -> tuple[int, Any]:
        """The index of the reference's state, and the factor."""
        reference, at_reference = self._nearest(track.reference_stamp, merged, beliefs)
        state, at_stamp = self._nearest(track.stamp, merged, beliefs)
        if reference.stamp != track.reference_stamp or state.stamp != track.stamp:
            track = track.moved(
                self._drifted(at_reference, track.reference_stamp).nav.pose().between(at_reference.nav.pose()),
                self._drifted(at_stamp, track.stamp).nav.pose().between(at_stamp.nav.pose()),
                (reference.stamp, state.stamp),
            )
        nodes = tuple(self._chains[walk.name].at(state.stamp) for walk in track.walks if walk.estimated)
        keys = (StateKeys.of(reference.index, nodes), StateKeys.of(state.index, nodes))
        return reference.index, track.factor(*keys, self._config)

    def _nearest(self, stamp: float, merged: list[State], beliefs: dict[int, Belief]) -> tuple[State, Belief]:
        """The state at a stamp, or the one that it shares, and its belief; covariances are not needed here."""
        state = merged[int(np.argmin([abs(s.stamp - stamp) for s in merged]))]
        known = beliefs.get(state.index) or Belief(state.stamp, *self.estimate(state), np.zeros((15, 15)))
        return state, known

    def _drifted(self, belief: Belief, stamp: float) -> Belief:
        """A belief moved a few milliseconds forward or back, at constant velocity and angular velocity."""
        dt = stamp - belief.stamp
        _, rate = self._imu.sample_at(belief.stamp)
        turn = gtsam.Rot3.Expmap((rate - belief.bias.gyroscope()) * dt)
        velocity = belief.nav.velocity()
        nav = gtsam.NavState(belief.nav.attitude().compose(turn), belief.nav.position() + velocity * dt, velocity)
        return Belief(stamp, nav, belief.bias, belief.covariance)

    def _converge(self, predicted: Any) -> None:
        """Iterate while the newest pose moves far: one step is exact enough for the usual small corrections."""
        key = X(self._states[-1].index)
        for _ in range(_ITERATIONS - 1):
            solved = self._smoother.calculateEstimatePose3(key)
            if np.abs(predicted.localCoordinates(solved)).max() < _LARGE_CORRECTION:
                return
            predicted = solved
            self._smoother.update()

    def _graduate(self) -> None:
        """Find the weights of the fixes anew, and solve with them."""
        for _ in range(_GRADUATIONS):
            if self._graduation is None or not self._graduation.apply(self._smoother):
                return

    def _forget(self) -> None:
        """Drop the states that the smoother has marginalised."""
        limit = self._states[-1].stamp - self._config.lag
        gone = {s.index for s in self._states if s.stamp < limit}
        if gone:
            self._states = [s for s in self._states if s.index not in gone]
            if self._graduation is not None:
                self._graduation.forget(gone)
            self._slots.forget(gone, limit)
        for chain in self._chains.values():
            chain.forget(limit)
