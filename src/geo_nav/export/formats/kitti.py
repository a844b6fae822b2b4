"""KITTI poses: a line is the upper three rows of ``T_map_base``, row by row; the stamps are in a file beside it.

The twelve numbers are KITTI's, the frames are ours: `base_link` (x forward, y left, z up) in `map` (east, north, up),
not moved to the first pose, nor turned into the axes of KITTI's camera.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geo_nav.export.formats.tum import trajectories
from geo_nav.export.registry import register_format
from geo_nav.export.run import ExportRun


@register_format("kitti")
def write(run: ExportRun) -> list[Path]:
    """Writes `NAME_kitti.txt` and `NAME_kitti_times.txt` (seconds) of every trajectory."""
    paths = []
    for name, poses in trajectories(run).items():
        matrices = np.concatenate([poses.rotations.as_matrix(), poses.positions[:, :, None]], axis=2)
        paths += [run.options.out / f"{name}_kitti.txt", run.options.out / f"{name}_kitti_times.txt"]
        np.savetxt(paths[-2], matrices.reshape(-1, 12), fmt="%.12g")
        np.savetxt(paths[-1], poses.stamps, fmt="%.9f")
    return paths
