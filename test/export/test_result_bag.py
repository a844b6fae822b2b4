"""The result bag, read back with rosbags and with the mcap library."""

from collections import Counter

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability

from evaluation_helpers import EPOCH
from export_helpers import write_exported_run
from geo_nav.evaluation.bag import read_run
from geo_nav.export import ExportOptions, export_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_exported_run(tmp_path_factory.mktemp("bags"), duration=20.0)


def result(run_dir, out, **options):
    """Receive times, topics and messages of a result bag, and its connections."""
    exported = export_run(run_dir, ["bag"], ExportOptions(out, **options))
    assert exported.failures == {}
    with AnyReader(exported.paths["bag"]) as reader:
        found = [(t, c.topic, reader.deserialize(d, c.msgtype)) for c, t, d in reader.messages()]
        return found, list(reader.connections)


@pytest.fixture(scope="module")
def whole(run_dir):
    return result(run_dir, run_dir / "export")


def counts(folder):
    with AnyReader([folder]) as reader:
        return Counter(c.topic for c, _, _ in reader.messages())


def test_all_topics_of_both_sides_in_order_of_time(run_dir, whole):
    found = Counter(topic for _, topic, _ in whole[0])
    ours, theirs = counts(run_dir / "bag"), counts(run_dir.parent / "input")
    assert theirs["/camera/image/compressed"] == 20
    expected = {**ours, **theirs}
    # Both have it: the run's one message, and the input's, of which one transform is left.
    expected["/tf_static"] = 2
    assert found == expected
    times = [time for time, _, _ in whole[0]]
    assert times == sorted(times)


def test_a_frame_has_one_parent(whole):
    static = [t.child_frame_id for _, topic, m in whole[0] if topic == "/tf_static" for t in m.transforms]
    assert sorted(static) == ["camera_optical", "gimbal"]
    moving = [t.child_frame_id for _, topic, m in whole[0] if topic == "/tf" for t in m.transforms]
    assert moving == ["odom", "base_link"]


def test_latched_topics_stay_latched(whole):
    offered = {c.topic: c.ext.offered_qos_profiles for c in whole[1]}
    latched = {topic for topic, qos in offered.items() if qos and qos[0].durability == QosDurability.TRANSIENT_LOCAL}
    assert latched == {"/tf_static", "/geo_nav/site"}
    assert offered["/tf_static"][0].depth >= 2


def test_chunks_are_compressed(run_dir, whole):
    with (run_dir / "export" / "result_bag" / "result_bag.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
    assert summary.statistics.message_count == len(whole[0])


def test_a_result_bag_can_be_scored_as_a_run(run_dir, whole, tmp_path):
    (tmp_path / "bag").symlink_to(run_dir / "export" / "result_bag")
    again, before = read_run(tmp_path), read_run(run_dir)
    np.testing.assert_array_equal(again.odometry.poses.positions, before.odometry.poses.positions)
    assert len(again.fixes) == len(before.fixes)


def test_a_stretch_without_images(run_dir, tmp_path):
    found, _ = result(run_dir, tmp_path, begin=5.0, end=8.0, images=False)
    topics = {topic for _, topic, _ in found}
    assert "/camera/image/compressed" not in topics
    assert {"/geo_nav/debug_image/compressed", "/camera/camera_info", "/tf_static", "/geo_nav/site"} <= topics
    stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for _, t, m in found if t == "/imu/data"])
    assert (stamps.min() - EPOCH, stamps.max() - EPOCH) == pytest.approx((5.0, 8.0), abs=0.05)
    times = [time for time, _, _ in found]
    assert times == sorted(times)
    assert times[0] * 1e-9 - EPOCH == pytest.approx(5.0, abs=0.05)


def test_a_run_recorded_by_another_clock_is_put_on_the_input_s(run_dir, tmp_path):
    """The player was started an hour later, and played at double speed."""
    from dataclasses import replace

    from geo_nav.export.formats.bag import _bag_time
    from geo_nav.export.run import ExportRun

    recording = read_run(run_dir)
    track = recording.odometry
    received = track.poses.stamps[0] + 3600.0 + (track.poses.stamps - track.poses.stamps[0]) / 2.0
    late = replace(recording, odometry=replace(track, received=received))
    to_bag_time = _bag_time(ExportRun(late, ExportOptions(tmp_path)))
    assert to_bag_time(round((received[0] + 3.0) * 1e9)) * 1e-9 - EPOCH == pytest.approx(6.0, abs=1e-5)
    assert to_bag_time(round((received[-1] + 1.0) * 1e9)) * 1e-9 - track.poses.stamps[-1] == pytest.approx(
        1.0, abs=1e-5
    )


def test_nothing_but_a_result_bag_is_replaced(run_dir, tmp_path):
    (tmp_path / "result_bag").mkdir()
    (tmp_path / "result_bag" / "mine.txt").write_text("mine")
    exported = export_run(run_dir, ["bag"], ExportOptions(tmp_path))
    assert "move it away" in exported.failures["bag"]
    assert (tmp_path / "result_bag" / "mine.txt").read_text() == "mine"
    (tmp_path / "result_bag" / "mine.txt").unlink()
    for _ in range(2):
        assert export_run(run_dir, ["bag"], ExportOptions(tmp_path)).failures == {}
