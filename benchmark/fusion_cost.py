"""What fusion costs: add_imu and update over a long flight, with the worker in a thread of its own as in the node.

    python benchmark/fusion_cost.py [--minutes 10] [--imu-rate 200] [--fix-rate 5] [--real-time] [--isolated]

Prints one line a minute (of the flight): add_imu median, 99th percentile and worst, update median and worst, resident
memory, position RMS. Memory and times must not grow. The delay is from the sample's own time to its state: it has in it
what the callback waits for the processor and for the interpreter. Without ``--real-time`` the flight is played as fast
as it goes in one thread; with it, in real time with the solver in its own thread; with ``--isolated`` in its own
process, as the node has it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "test")]

from fusion_helpers import CONFIG, FRAME, T_BASE_CAMERA, World, give_fix  # noqa: E402
from geo_nav.fusion import Fusion  # noqa: E402
from geo_nav.fusion.solver_process import SWITCH_INTERVAL  # noqa: E402


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--imu-rate", type=float, default=200.0)
    parser.add_argument("--fix-rate", type=float, default=5.0)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--isolated", action="store_true")
    arguments = parser.parse_args()
    world = World(seed=1, duration=60.0 * arguments.minutes, rate=arguments.imu_rate, fix_rate=arguments.fix_rate)
    fusion = Fusion(CONFIG, FRAME, T_BASE_CAMERA, isolated=arguments.isolated)
    sys.setswitchinterval(SWITCH_INTERVAL)
    updates: list[float] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            info = fusion.update()
            if info.solved:
                updates.append(info.milliseconds)

    worker = threading.Thread(target=work)
    if arguments.real_time:
        worker.start()
    waiting = sorted(world.fixes, key=lambda f: f.arrival)[::-1]
    costs: list[float] = []
    delays: list[float] = []
    errors: list[float] = []
    next_update, next_line, begin = 0.0, 60.0, time.perf_counter()
    print("minute  add_imu µs p50/p99/max   delay ms p50/p99/max    update ms p50/max  MiB   RMS m  rebuilds")
    for sample in [*world.imu]:
        if arguments.real_time:
            time.sleep(max(0.0, begin + sample.stamp - time.perf_counter()))
        start = time.perf_counter()
        state = fusion.add_imu(sample)
        costs.append(time.perf_counter() - start)
        delays.append(time.perf_counter() - begin - sample.stamp)
        if state is not None:
            errors.append(float(np.linalg.norm(state.T_map_base.translation - world.flight.position(state.stamp))))
        while waiting and waiting[-1].arrival <= sample.stamp:
            give_fix(fusion, waiting.pop())
        if not arguments.real_time and sample.stamp >= next_update:
            next_update += 0.1
            info = fusion.update()
            if info.solved:
                updates.append(info.milliseconds)
        if sample.stamp >= next_line or sample is world.imu[-1]:
            p50, p99, worst = (1e6 * np.percentile(costs, q) for q in (50, 99, 100))
            late = "       –      –      –"
            if arguments.real_time:
                late = " ".join(f"{1e3 * np.percentile(delays, q):7.2f}" for q in (50, 99, 100))
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{sample.stamp / 60:6.1f}  {p50:8.0f} {p99:8.0f} {worst:8.0f}  {late}  {np.median(updates):8.1f} "
                f"{max(updates):6.1f}  {memory:5.0f}  {np.sqrt(np.mean(np.square(errors))):.3f}  "
                f"{fusion.status().graph_rebuilds}",
                flush=True,
            )
            next_line += 60.0
            costs, delays, errors = [], [], []
            updates.clear()
    stop.set()
    if arguments.real_time:
        worker.join()
    fusion.close()


if __name__ == "__main__":
    main()
