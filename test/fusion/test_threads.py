import itertools
import threading
import time

import numpy as np

from fusion_helpers import World, give_fix, new_fusion


def test_imu_thread_and_worker_side_by_side():
    """The node's threads: IMU in one, the solver in another, fixes and questions from a third."""
    world = World(seed=9, duration=12.0, rate=200.0)
    fusion = new_fusion()
    stop, failures, infos = threading.Event(), [], []

    def guarded(body):
        def loop():
            try:
                while not stop.is_set():
                    body()
                    time.sleep(0.002)
            except Exception as error:
                failures.append(error)

        return threading.Thread(target=loop)

    def work():
        infos.append(fusion.update())

    def ask():
        fusion.status()
        fusion.checkpoint()
        fusion.pose_at(5.0)
        _ = fusion.imu_verdicts

    threads = [guarded(work), guarded(ask)]
    for thread in threads:
        thread.start()
    states, waiting = [], list(world.fixes)
    for i, sample in enumerate(world.imu):
        states.append(fusion.add_imu(sample))
        while waiting and waiting[0].arrival <= sample.stamp:
            give_fix(fusion, waiting.pop(0))
        if i % 10 == 0:
            time.sleep(0.01)  # about four times as fast as life
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(info.solved for info in infos) > 10
    first = next(i for i, s in enumerate(states) if s is not None)
    assert all(s is not None for s in states[first:])
    assert [s.stamp for s in states[first:]] == [s.stamp for s in world.imu[first:]]
    errors = [
        np.linalg.norm(s.T_map_base.translation - world.flight.position(s.stamp))
        for s in states[first:]
        if s.stamp > 6.0
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 1.0
    odom = [s.T_map_odom.inverse() @ s.T_map_base for s in states[first:]]
    assert max(b.distance_to(a) for a, b in itertools.pairwise(odom)) < 0.15
