"""A run of `geo-nav bench fusion`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.estimators import CAUSAL
from geo_nav.evaluation.inertial.figures import write_figure
from geo_nav.evaluation.inertial.protocol import Outcome, run_record
from geo_nav.evaluation.inertial.record import default_noise
from geo_nav.evaluation.inertial.scores import Row, row
from geo_nav.evaluation.inertial.sources import LogSet, Reader, data_folder, log_sets
from geo_nav.evaluation.inertial.start import find_start

INTERVALS = (1.0, 5.0, 10.0, 30.0)
NOISES = ("class", "default")
_QUICK_LOGS = 2

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FusionBenchOptions:
    """All that a run depends on.

    Attributes:
        output: folder of the results.
        sets: names; empty for all.
        intervals: between the fixes given, s.
        noise: ``class``, what is known of each IMU; or ``default``, that of ``FusionConfig()``.
        quick: two logs a set at most, and only the first interval.
    """

    output: Path
    sets: tuple[str, ...] = ()
    intervals: tuple[float, ...] = INTERVALS
    noise: str = "class"
    quick: bool = False

    def __post_init__(self) -> None:
        if not self.intervals or min(self.intervals) < 1.0:
            raise EvaluationError("the intervals between fixes must be 1 s or more")
        if self.noise not in NOISES:
            raise EvaluationError(f"there is no noise '{self.noise}': use {', '.join(NOISES)}")


@dataclass
class FusionBenchResults:
    """Of a run.

    Attributes:
        options: of it.
        rows: by set and interval.
        notes: of each log: length, what was estimated.
        skipped: what was not made, and why.
        pictures: caption and file name.
    """

    options: FusionBenchOptions
    rows: list[Row] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)


def run_fusion_bench(
    options: FusionBenchOptions,
    keep: Callable[[FusionBenchResults], object] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> FusionBenchResults:
    """Every set at every interval with every estimator; a picture of each set's first log at each interval.

    Args:
        options: of the run.
        keep: called with what there is after every set, so that an interrupted run loses one set at most.
        progress: called with what is being done, how much is done, and of how much.

    Raises:
        EvaluationError: an option is wrong, or the folder cannot be written.
    """
    sets, absent = log_sets(options.sets, data_folder())
    results = FusionBenchResults(options, skipped=absent)
    intervals = options.intervals[:1] if options.quick else options.intervals
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"{options.output} cannot be made: {error.strerror}") from error
    chosen = {s.name: s.readers[: _QUICK_LOGS if options.quick else None] for s in sets}
    total, done = sum(len(r) for r in chosen.values()) * len(intervals) * (len(CAUSAL) + 1), 0
    for log_set in sets:
        outcomes: dict[float, list[Outcome]] = {interval: [] for interval in intervals}
        for reader in chosen[log_set.name]:

            def tick(name: str, which: LogSet = log_set) -> None:
                nonlocal done
                done += 1
                progress(f"{which.name}: {name}", done, total)

            before = done
            for outcome in _log(reader, options, log_set.name, intervals, results, tick):
                outcomes[outcome.interval].append(outcome)
            done = before + len(intervals) * (len(CAUSAL) + 1)
        for interval, found in outcomes.items():
            if found:
                results.rows.append(row(log_set.name, interval, found))
                _picture(found[0], log_set.name, results)
        keep(results)
    return results


def _log(
    reader: Reader,
    options: FusionBenchOptions,
    name: str,
    intervals: tuple[float, ...],
    results: FusionBenchResults,
    tick: Callable[[str], None],
) -> list[Outcome]:
    """One log at all intervals; what cannot be used is said and passed over."""
    outcomes = []
    try:
        record = reader()
        if options.noise == "default":
            record = replace(record, config=default_noise(record.config))
        start = find_start(record)
    except EvaluationError as error:
        results.skipped.append(f"{name}: {error}")
        return []
    c = record.config
    results.notes.setdefault(name, []).append(
        f"{record.name}: {record.duration:.0f} s, {'; '.join(record.notes)}; "
        f"noise {c.accelerometer_noise:.3g} m/s²/√Hz, "
        f"{c.gyroscope_noise:.3g} rad/s/√Hz, walks {c.accelerometer_bias_walk:.2g}, {c.gyroscope_bias_walk:.2g}"
    )
    for interval in intervals:
        try:
            outcomes.append(run_record(record, start, interval, tick))
        except EvaluationError as error:
            results.skipped.append(f"{name}: {error}")
    return outcomes


def _picture(outcome: Outcome, name: str, results: FusionBenchResults) -> None:
    file = f"{name}_{outcome.interval:g}s.png"
    write_figure(outcome, results.options.output / file)
    results.pictures.append((f"{outcome.record}, a fix every {outcome.interval:g} s", file))
