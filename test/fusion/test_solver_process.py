"""The graph in a process of its own: the same results, and a new process where one ends."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, World, give_fix, new_fusion, run
from geo_nav.fusion import Fusion, ImuSample, NavigationState, solver_process


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


def test_process_that_hangs_is_replaced_and_gets_the_imu_of_before(isolated, monkeypatch):
    world = World(seed=5, duration=13.0, rate=100.0)
    for sample in world.imu[:800]:
        isolated.add_imu(sample)
        for fix in world.fixes:
            if sample.stamp - 0.01 < fix.arrival <= sample.stamp and fix.stamp < 7.0:
                give_fix(isolated, fix)
        if round(sample.stamp * 100) % 10 == 0:
            isolated.update()
    hung = isolated._estimator._process
    os.kill(hung.pid, signal.SIGSTOP)
    worker = threading.Thread(target=isolated.update)
    # Only for the one that hangs: a busy machine may take longer to start the next.
    with monkeypatch.context() as short:
        short.setattr(solver_process, "_PATIENCE", 2.0)
        worker.start()
        for sample in world.imu[800:1000]:  # while the worker waits
            isolated.add_imu(sample)
        worker.join(timeout=60.0)
    assert not worker.is_alive()
    assert isolated._estimator._process.pid != hung.pid
    for sample in world.imu[1000:1100]:
        isolated.add_imu(sample)
    assert isolated.update().started == "started from the last good state"
    state = isolated.state()
    error = np.linalg.norm(state.T_map_base.translation - world.flight.position(state.stamp))
    # Four seconds after the last fix by the IMU; a bridge without it would be off by far more, and say so.
    assert error < 5.0
    assert np.sqrt(state.pose_covariance[0, 0]) < 5.0


def test_fixes_that_nobody_takes_are_counted(isolated):
    for i in range(1200):
        isolated.add_gps(0.001 * i, np.zeros(3), np.eye(3))
    isolated.add_imu(ImuSample(2.0, np.array([0.0, 0.0, 9.8]), np.zeros(3)))
    isolated.update()
    assert isolated.status().measurements["gps"].refused >= 200


def test_process_imports_nothing_from_the_folder_that_it_is_started_in(tmp_path, monkeypatch):
    (tmp_path / "gtsam.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    fusion = Fusion(CONFIG, FRAME, T_BASE_CAMERA, isolated=True)
    fusion.add_imu(ImuSample(0.0, np.array([0.0, 0.0, 9.8]), np.zeros(3)))
    assert not fusion.update().rebuilt
    fusion.close()


def test_process_ends_with_its_owner():
    fusion = Fusion(CONFIG, FRAME, T_BASE_CAMERA, isolated=True)
    fusion.add_imu(ImuSample(0.0, np.array([0.0, 0.0, 9.8]), np.zeros(3)))
    assert not fusion.update().rebuilt
    process = fusion._estimator._process
    fusion._estimator._pipe.close()  # as the kernel does it when the owner is killed
    assert process.wait(timeout=10.0) == 0
