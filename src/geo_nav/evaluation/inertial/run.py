"""A run of `geo-nav bench fusion`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from geo_nav.evaluation.errors import EvaluationError
from geo_nav.evaluation.inertial.estimators import CAUSAL
from geo_nav.evaluation.inertial.figures import write_figure
from geo_nav.evaluation.inertial.protocol import Outcome, long_enough, run_record
from geo_nav.evaluation.inertial.record import Record, default_noise
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
    if options.quick:
        sets = [replace(s, readers=s.readers[:_QUICK_LOGS]) for s in sets]
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"{options.output} cannot be made: {error.strerror}") from error
    meter = _Meter(progress, sum(len(s.readers) for s in sets) * _steps(options))
    for log_set in sets:
        _run_set(log_set, results, meter)
        keep(results)
    return results


@dataclass
class _Meter:
    """What is done, in estimators that have gone over a log."""

    progress: Progress
    total: int
    done: int = 0

    def step(self, what: str) -> None:
        self.done += 1
        self.progress(what, self.done, self.total)


def _intervals(options: FusionBenchOptions) -> tuple[float, ...]:
    return options.intervals[:1] if options.quick else options.intervals


def _steps(options: FusionBenchOptions) -> int:
    """Of a log."""
    return len(_intervals(options)) * (len(CAUSAL) + 1)


def _run_set(log_set: LogSet, results: FusionBenchResults, meter: _Meter) -> None:
    """The rows and pictures of one set."""
    outcomes: dict[float, list[Outcome]] = {interval: [] for interval in _intervals(results.options)}
    short: Counter[float] = Counter()
    for reader in log_set.readers:
        due = meter.done + _steps(results.options)
        for outcome in _run_log(reader, log_set.name, results, short, meter):
            outcomes[outcome.interval].append(outcome)
        meter.done = due
    for interval, number in short.items():
        logs = f"{number} of {len(log_set.readers)} logs"
        results.skipped.append(f"{log_set.name}: {logs} are too short for a fix every {interval:g} s")
    for interval, found in outcomes.items():
        if found:
            results.rows.append(row(log_set.name, interval, found))
            _picture(found[0], log_set.name, results)


def _run_log(
    reader: Reader, name: str, results: FusionBenchResults, short: Counter[float], meter: _Meter
) -> list[Outcome]:
    """One log at all intervals; what cannot be used is said and passed over."""
    options, outcomes = results.options, []
    try:
        record = reader()
        if options.noise == "default":
            record = replace(record, config=default_noise(record.config))
        start = find_start(record)
    except EvaluationError as error:
        results.skipped.append(f"{name}: {error}")
        return []
    results.notes.setdefault(name, []).append(_note(record))
    for interval in _intervals(options):
        if long_enough(record, start, interval):
            outcomes.append(run_record(record, start, interval, lambda what: meter.step(f"{name}: {what}")))
        else:
            short[interval] += 1
    return outcomes


def _note(record: Record) -> str:
    c = record.config
    return (
        f"{record.name}: {record.duration:.0f} s, {'; '.join(record.notes)}; "
        f"noise {c.accelerometer_noise:.3g} m/s²/√Hz, {c.gyroscope_noise:.3g} rad/s/√Hz, "
        f"walks {c.accelerometer_bias_walk:.2g}, {c.gyroscope_bias_walk:.2g}"
    )


def _picture(outcome: Outcome, name: str, results: FusionBenchResults) -> None:
    file = f"{name}_{outcome.interval:g}s.png"
    write_figure(outcome, results.options.output / file)
    results.pictures.append((f"{outcome.record}, a fix every {outcome.interval:g} s", file))
