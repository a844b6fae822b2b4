"""IMU and absolute fixes in, the navigation state out."""

from __future__ import annotations

import time
from collections import deque
from statistics import median
from threading import Lock, RLock
from typing import Any

import gtsam
import numpy as np
import numpy.typing as npt

from geo_nav.fusion.belief import Belief, pose3
from geo_nav.fusion.camera_inputs import CameraInputs
from geo_nav.fusion.checkpoint import from_checkpoint, to_checkpoint
from geo_nav.fusion.config import FusionConfig
from geo_nav.fusion.estimator import Estimator, Result
from geo_nav.fusion.imu_buffer import ImuBuffer, ImuVerdict
from geo_nav.fusion.imu_model import ImuModel
from geo_nav.fusion.intake import Intake
from geo_nav.fusion.measurements import (
    Attitude,
    GpsFix,
    checked_covariance,
    checked_stamp,
    checked_vector,
)
from geo_nav.fusion.propagator import Propagator
from geo_nav.fusion.protection import ProtectionLevels, protection_levels
from geo_nav.fusion.solver_process import SolverProcess
from geo_nav.fusion.status import StatusReport, UpdateInfo, calibrations, classify
from geo_nav.fusion.tally import Tally
from geo_nav.fusion.types import ImuSample, NavigationState, NavState
from geo_nav.geodesy import LocalFrame, Pose, covariance_gtsam_from_ros

Array = npt.NDArray[np.float64]

_NO_LEVER_ARM = (0.0, 0.0, 0.0)


class Fusion(CameraInputs):
    """The fixed-lag factor graph behind two calls: `add_imu` at IMU rate, `update` from a worker.

    Threads: ``add_imu`` belongs to one IMU thread and never waits for a solve; ``update`` to one worker;
    what :class:`CameraInputs` and :class:`SensorInputs` add, ``add_gps``, ``add_attitude``, ``set_pose``, ``restore``,
    ``status``, ``checkpoint`` and ``pose_at`` may be called from any thread.

    Args:
        config: settings.
        frame: the `map` frame (for gravity and the Earth's rotation).
        T_base_camera: `camera_optical` in `base_link`.
        isolated: solve the graph in a process of its own, see :mod:`geo_nav.fusion.solver_process`; it ends with
            :meth:`close`. The results are the same.
    """

    def __init__(self, config: FusionConfig, frame: LocalFrame, T_base_camera: Pose, isolated: bool = False) -> None:
        self._imu = ImuBuffer(config)
        self._model = ImuModel(config, frame)
        intake = Intake()
        self._estimator: Estimator | SolverProcess = (
            SolverProcess(config, frame, self._imu, self._model, intake)
            if isolated
            else Estimator(config, self._imu, self._model, intake)
        )
        super().__init__(config, frame, intake, Tally(config), T_base_camera, self._estimator.count_refused_tracks)
        self._propagator: Propagator | None = None
        self._interrupted: Propagator | None = None
        self._previous: Propagator | None = None
        self._output_lock = RLock()
        self._update_lock = Lock()
        self._milliseconds: deque[float] = deque(maxlen=50)

    # ------------------------------------------------------------------ measurements in

    def add_imu(self, sample: ImuSample) -> NavState | None:
        """Take an IMU sample and return the newest state.

        Returns:
            The state at the sample's stamp; None before the start, and for a sample that is refused (not finite,
            saturated, out of order, duplicate: counted in :attr:`imu_verdicts` and in the status).

        Raises:
            FusionError: the vectors are not (3,).
        """
        with self._output_lock:
            verdict = self._imu.add(sample)
            if verdict is ImuVerdict.RESTARTED:
                # Nothing of the old time can be connected to the new; update() decides what can be kept.
                self._interrupted = self._propagator or self._interrupted
                self._propagator = None
            if verdict is not ImuVerdict.ACCEPTED or self._propagator is None:
                return None
            self._propagator.advance(self._imu.segments(self._propagator.stamp, sample.stamp))
            return self._propagator.state()

    def add_gps(
        self,
        stamp: float,
        position_enu: npt.ArrayLike,
        covariance: npt.ArrayLike,
        velocity_enu: npt.ArrayLike | None = None,
        velocity_covariance: npt.ArrayLike | None = None,
        lever_arm: npt.ArrayLike = _NO_LEVER_ARM,
    ) -> None:
        """Queue a GPS fix; it may be late and out of order.

        Args:
            stamp: of validity, s.
            position_enu: (3,) of the antenna in `map`, m.
            covariance: (3, 3) m²; no axis counts as better than ``config.gps_sigma_floor``.
            velocity_enu: (3,) of the antenna in `map`, m/s.
            velocity_covariance: (3, 3) (m/s)²; None takes ``config.gps_velocity_sigma``.
            lever_arm: (3,) antenna in `base_link`, m.

        Raises:
            FusionError: a value cannot be used.
        """
        position_covariance = checked_covariance(covariance, 3, "a GPS position")
        floor = self._config.gps_sigma_floor**2
        position_covariance += np.diag(np.maximum(0.0, floor - np.diag(position_covariance)))
        if velocity_covariance is None:
            velocity_covariance = np.eye(3) * self._config.gps_velocity_sigma**2
        self._intake.put(
            GpsFix(
                stamp=checked_stamp(stamp, "a GPS fix"),
                position=checked_vector(position_enu, "a GPS position"),
                covariance=position_covariance,
                velocity=None if velocity_enu is None else checked_vector(velocity_enu, "a GPS velocity"),
                velocity_covariance=checked_covariance(velocity_covariance, 3, "a GPS velocity"),
                lever_arm=checked_vector(lever_arm, "a GPS lever arm"),
                angular_velocity=np.zeros(3),
                process=self._config.gps_errors,
            )
        )

    def add_attitude(self, stamp: float, R_map_base: npt.ArrayLike, covariance: npt.ArrayLike | None = None) -> None:
        """Offer the attitude of an AHRS (sensor_msgs/Imu.orientation); only a start from GPS uses it.

        Args:
            stamp: s.
            R_map_base: (3, 3).
            covariance: (3, 3) about the axes of `map`, rad²; None takes the sigmas of the configuration.

        Raises:
            FusionError: a value cannot be used.
        """
        rotation = Pose(np.asarray(R_map_base, dtype=np.float64), np.zeros(3)).rotation
        if covariance is None:
            tilt, heading = self._config.start_tilt_sigma, self._config.start_heading_sigma
            covariance = np.diag([tilt**2, tilt**2, heading**2])
        in_map = checked_covariance(covariance, 3, "an attitude")
        self._intake.put_attitude(
            Attitude(checked_stamp(stamp, "an attitude"), rotation, rotation.T @ in_map @ rotation)
        )

    def set_pose(
        self,
        stamp: float,
        T_map_base: Pose,
        covariance: npt.ArrayLike,
        velocity: npt.ArrayLike | None = None,
        velocity_covariance: npt.ArrayLike | None = None,
    ) -> None:
        """Start, or start anew, from a given pose at the next update that has IMU at the stamp.

        Args:
            stamp: s.
            T_map_base: `base_link` in `map`.
            covariance: (6, 6) ROS order, m and rad.
            velocity: (3,) in `map`, m/s; None means unknown.
            velocity_covariance: (3, 3) (m/s)²; None takes ``config.start_velocity_sigma``.

        Raises:
            FusionError: a value cannot be used.
        """
        c = self._config
        R = T_map_base.rotation
        full = np.diag(np.repeat([1.0, c.accelerometer_bias_sigma**2, c.gyroscope_bias_sigma**2], [9, 3, 3]))
        full[:6, :6] = covariance_gtsam_from_ros(checked_covariance(covariance, 6, "the given pose"), R)
        if velocity_covariance is None:
            velocity_covariance = np.eye(3) * c.start_velocity_sigma**2
        full[6:9, 6:9] = R.T @ checked_covariance(velocity_covariance, 3, "the given velocity") @ R
        start_velocity = np.zeros(3) if velocity is None else checked_vector(velocity, "the given velocity")
        nav = gtsam.NavState(pose3(T_map_base), start_velocity)
        stamp = checked_stamp(stamp, "the given pose")
        self._estimator.request(Belief(stamp, nav, gtsam.imuBias.ConstantBias(), full), stamp, "the given pose")

    # ------------------------------------------------------------------ the worker

    def update(self) -> UpdateInfo:
        """Put the queued fixes into the graph, solve, and carry the solution on to the newest IMU sample.

        Never raises for a measurement or a solver failure; both are in the result.
        """
        with self._update_lock:
            begin = time.perf_counter()
            with self._output_lock:
                interrupted, self._interrupted = self._interrupted, None
            result = Result()
            try:
                if interrupted is not None:
                    self._estimator.interrupt(interrupted.belief())
                    interrupted = None
                result = self._estimator.update()
                if result.started:
                    self._tally.forget_innovations()
                self._tally.add(result.fixes)
                if self._estimator.anchor is None:
                    with self._output_lock:
                        self._propagator = None
                elif result.solved:
                    self._swap(self._estimator.anchor)
            except Exception as error:  # of GTSAM, in the way to the present: the output goes on as it was
                result.rebuilt = f"{result.rebuilt}; {error!r}" if result.rebuilt else repr(error)
                with self._output_lock:
                    self._interrupted = self._interrupted or interrupted
            milliseconds = 1e3 * (time.perf_counter() - begin)
            if result.solved:
                self._milliseconds.append(milliseconds)
            return UpdateInfo(milliseconds, result.solved, result.fixes, result.rebuilt, result.started)

    def _swap(self, anchor: Belief) -> None:
        """Replace what add_imu carries on. The long way to now is made without the lock, the last samples with it."""
        successor = Propagator(self._config, self._model, anchor)
        span = self._imu.span
        assert span is not None
        successor.advance(self._imu.segments(anchor.stamp, span[1]))
        with self._output_lock:
            if self._interrupted is not None:
                return  # the clock jumped meanwhile; the next update sorts it out
            span = self._imu.span
            assert span is not None
            successor.advance(self._imu.segments(successor.stamp, span[1]))
            if self._previous is not None:
                successor.take_over(self._previous, keep_history=self._propagator is not None)
            self._propagator = self._previous = successor

    def close(self) -> None:
        """End the process that solves, if there is one; nothing else may be called afterwards."""
        if isinstance(self._estimator, SolverProcess):
            with self._update_lock:
                self._estimator.close()

    # ------------------------------------------------------------------ answers

    @property
    def imu_verdicts(self) -> dict[str, int]:
        """How many IMU samples were accepted, and refused for which reason."""
        return {str(verdict): count for verdict, count in dict(self._imu.verdicts).items()}

    def state(self) -> NavState | None:
        """The newest state; None before the start."""
        with self._output_lock:
            return None if self._propagator is None else self._propagator.state()

    def pose_at(self, stamp: float) -> tuple[Pose, Array] | None:
        """Predicted T_map_base and its (6, 6) covariance (ROS order) at a stamp of the last seconds.

        None outside the history (``config.history``) and before the start.
        """
        with self._output_lock:
            return None if self._propagator is None else self._propagator.pose_at(stamp)

    def status(self, now: float | None = None) -> StatusReport:
        """The status.

        Args:
            now: present time, s; None takes the newest IMU stamp. Giving it shows an IMU that has stopped.
        """
        state = self.state()
        span = self._imu.span
        stamp = span[1] if span else float("nan")
        counts = self._estimator.counts()
        since_fix = (stamp if now is None else now) - counts.last_fix if state else float("nan")
        horizontal = vertical = heading = float("nan")
        consistency, levels = self._tally.consistency(), ProtectionLevels()
        if state is not None:
            C = state.pose_covariance
            levels = protection_levels(C[:3, :3], consistency, counts.rivals, self._config.rival_fixes)
            horizontal = float(np.sqrt(np.linalg.eigvalsh(C[:2, :2])[-1]))
            vertical, heading = float(np.sqrt(C[2, 2])), float(np.sqrt(C[5, 5]))
        milliseconds = tuple(self._milliseconds)
        phase, reason = classify(
            self._config, state is not None, counts.waiting_for, since_fix, horizontal, counts.rivals
        )
        silent = 0.0 if now is None or not span else now - span[1]
        if silent > self._config.imu_gap_limit:
            phase, reason = max(phase, NavigationState.COASTING), f"no IMU for {silent:.1f} s; {reason}"
        return StatusReport(
            stamp=stamp,
            state=phase if state is not None else NavigationState.INITIALIZING,
            reason=reason,
            seconds_since_fix=since_fix,
            horizontal_sigma=horizontal,
            vertical_sigma=vertical,
            heading_sigma=heading,
            fixes_used=counts.used,
            fixes_refused=counts.refused,
            fixes_too_old=counts.too_old,
            tracks_used=counts.tracks_used,
            tracks_refused=counts.tracks_refused,
            imu_samples=self._imu.accepted,
            imu_samples_refused=self._imu.refused,
            graph_rebuilds=counts.rebuilds,
            update_milliseconds=median(milliseconds) if milliseconds else 0.0,
            measurements=self._tally.counts(),
            consistency=consistency,
            levels=levels,
            calibrations=calibrations(self._estimator.anchor),
        )

    def checkpoint(self) -> dict[str, Any] | None:
        """The newest state with its covariance, for ``json.dumps``; None before the start."""
        with self._output_lock:
            if self._propagator is None:
                return None
            belief = self._propagator.belief()
        return to_checkpoint(belief, self._frame, self._estimator.counts().last_fix)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Start from a checkpoint at the next update that has IMU.

        The time without IMU is bridged at constant velocity with the noise of a gap; a checkpoint older than
        ``config.checkpoint_max_age`` at the first IMU sample is refused then, and the status says so.

        Raises:
            FusionError: the checkpoint is damaged, or of another datum or version.
        """
        belief, last_fix = from_checkpoint(checkpoint, self._frame, self._config.walks)
        self._estimator.request(belief, last_fix, "the checkpoint")
