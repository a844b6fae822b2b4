"""What the matchers cost: milliseconds to extract and to match, in each runtime.

    python benchmark/matchers.py [--matcher NAME …] [--device cpu] [--threads 1] [--repeats 5] [--wall]

The pictures are 640x480 parts of a synthetic texture, one turned by 6° and given another exposure; 1024 keypoints at
most. `auto` is what a matcher takes by itself: onnx for the features, adaptive torch for LightGlue; the others run all
of LightGlue's work. Prints the median. On a CPU it is processor time over the threads, so that a busy machine does not
show; ``--wall`` and any other device show the time that passes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "test")]

from geo_nav.matching import Matcher, create_matcher, matcher_networks  # noqa: E402
from registration_site import photographed, texture  # noqa: E402

NAMES = ["sift", "xfeat", "xfeat_lighterglue", "aliked_lightglue", "disk_lightglue"]
DENSITY = 1024 / (640 * 480 * 1e-6)


def main() -> None:
    """Measures every matcher in every runtime that it has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matcher", nargs="+", default=NAMES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--wall", action="store_true")
    given = parser.parse_args()
    by_processor = given.device == "cpu" and not given.wall
    table = Table("matcher", "runtime", "keypoints", "matches", "within 3 px", "extract ms", "match ms")
    first, second, affine = pictures()
    for name in given.matcher:
        for runtime in ("auto", "torch", "onnx") if matcher_networks(name) else ("auto",):
            matcher = create_matcher(
                name,
                keypoint_density=DENSITY,
                max_keypoints=1024,
                threads=given.threads,
                runtime=runtime,
                adaptive=runtime == "auto",
                device=given.device,
                precision=given.precision,
            )
            row = measured(matcher, first, second, affine, given.repeats, given.threads if by_processor else 0)
            table.add_row(name, runtime, *row)
    Console().print(table)


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two pictures (480, 640, 3) and the (2, 3) map of the first one's pixels to the second's."""
    first = np.ascontiguousarray(texture(7)[200:680, 100:740])
    affine = cv2.getRotationMatrix2D((320, 240), 6.0, 1.05)
    affine[:, 2] += [9.0, -5.0]
    return first, photographed(cv2.warpAffine(first, affine, (640, 480), borderMode=cv2.BORDER_REFLECT)), affine


def measured(
    matcher: Matcher, first: np.ndarray, second: np.ndarray, affine: np.ndarray, repeats: int, threads: int
) -> list[str]:
    """Counts and median times of one matcher; the first run, which allocates, does not count.

    Args:
        matcher: which.
        first: see :func:`pictures`.
        second: likewise.
        affine: likewise.
        repeats: runs that count.
        threads: that share the processor time; 0 takes the time that passes.
    """

    def now() -> float:
        return time.process_time() / threads if threads else time.perf_counter()

    reference = matcher.extract(second)
    extraction, matching = [], []
    for _ in range(repeats + 1):
        start = now()
        query = matcher.extract(first)
        middle = now()
        matches = matcher.match(query, reference)
        extraction.append(middle - start)
        matching.append(now() - middle)
    error = np.linalg.norm(matches.query @ affine[:, :2].T + affine[:, 2] - matches.reference, axis=1)
    counts = [len(query.keypoints), len(matches), int((error < 3.0).sum())]
    return [str(n) for n in counts] + [f"{1e3 * np.median(t[1:]):.0f}" for t in (extraction, matching)]


if __name__ == "__main__":
    main()
