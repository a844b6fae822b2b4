"""The graph in a process of its own: the same results, and a new process where one ends."""

import os
import signal
import time

import numpy as np
import pytest

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, World, new_fusion, run
from geo_nav.fusion import Fusion, ImuSample, NavigationState


@pytest.fixture
def isolated():
    fusion = Fusion(CONFIG, FRAME, T_BASE_CAMERA, isolated=True)
    yield fusion
    fusion.close()


def test_results_are_the_same(isolated):
    world = World(seed=5, duration=12.0, rate=100.0)
    here = new_fusion()
    for fusion in (here, isolated):
        fusion.add_gps(5.0, [np.pi, 0.0, 0.0], np.eye(3))  # refused or not, both must say the same
    states = [run(fusion, world).states for fusion in (here, isolated)]
    assert len(states[0]) == len(states[1])
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a.T_map_base.translation, b.T_map_base.translation)
        np.testing.assert_array_equal(a.pose_covariance, b.pose_covariance)
    reports = [vars(fusion.status()) for fusion in (here, isolated)]
    for report in reports:
        del report["update_milliseconds"]
    assert repr(reports[0]) == repr(reports[1])


def test_clock_that_jumps_back_is_followed(isolated):
    run(isolated, World(seed=2, duration=8.0, rate=100.0))
    trace = run(isolated, World(seed=2, duration=6.0, rate=100.0))
    assert isolated.imu_verdicts["restarted"] == 1
    assert trace.after(4.0).rms < 0.5


def test_process_that_ends_is_replaced(isolated):
    world = World(seed=5, duration=14.0, rate=100.0)
    solver = isolated._estimator
    killed = []

    class Killing(list):
        """IMU samples; the solver is killed before one of them."""

        def __iter__(self):
            for sample in super().__iter__():
                if sample.stamp > 8.0 and not killed:
                    killed.append(solver._process.pid)
                    os.kill(killed[0], signal.SIGKILL)
                    time.sleep(0.2)
                yield sample

    world.imu = Killing(world.imu)
    trace = run(isolated, world)
    assert solver._process.pid != killed[0]
    status = isolated.status()
    assert status.state is NavigationState.TRACKING
    assert status.graph_rebuilds == 1
    assert trace.after(1.5).states[-1].stamp > 13.9
    # The output never paused, and the state went on from where it was.
    assert np.diff([s.stamp for s in trace.states]).max() < 0.011
    assert np.linalg.norm(trace.after(4.0).position_errors, axis=1).max() < 1.5


def test_process_ends_with_its_owner():
    fusion = Fusion(CONFIG, FRAME, T_BASE_CAMERA, isolated=True)
    fusion.add_imu(ImuSample(0.0, np.array([0.0, 0.0, 9.8]), np.zeros(3)))
    assert not fusion.update().rebuilt
    process = fusion._estimator._process
    fusion._estimator._pipe.close()  # as the kernel does it when the owner is killed
    assert process.wait(timeout=10.0) == 0
