"""Bags of every storage, and what is left of bags that are cut off, damaged or empty."""

import re
import shutil
import sqlite3
from itertools import product

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from bag_helpers import GPS, IMU, START, messages, write_bag, write_chunked
from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bag_input import find_bags, open_bag

COUNT = 300
CONTENT = messages(COUNT)


def numbers(bag, topic=IMU):
    """What the IMU messages carry as their number, in the order in which they come."""
    return [int(m.linear_acceleration.z) for _, _, m in bag.decoded([topic])]


def chunks(file):
    """The index of a file that is whole, by the mcap library."""
    with file.open("rb") as stream:
        return make_reader(stream).get_summary().chunk_indexes


def assert_all_there(path):
    with open_bag(path) as bag:
        assert bag.topics[IMU].msgtype == "sensor_msgs/msg/Imu"
        assert {topic: info.count for topic, info in bag.topics.items()} == {IMU: COUNT, GPS: COUNT // 10}
        assert bag.begin == pytest.approx(START)
        assert bag.end == pytest.approx(START + (COUNT - 1) * 0.01, abs=1e-6)
        times = [received for _, received, _ in bag.messages()]
        assert len(times) == COUNT * 11 // 10
        assert times == sorted(times)
        assert numbers(bag) == list(range(COUNT))
        return bag.problems


@pytest.mark.parametrize(
    ("plugin", "mode"),
    # sqlite3 has no compression of its own.
    [
        pair
        for pair in product(StoragePlugin, CompressionMode)
        if pair != (StoragePlugin.SQLITE3, CompressionMode.STORAGE)
    ],
)
def test_every_storage_is_read_whole(tmp_path, plugin, mode):
    assert assert_all_there(write_bag(tmp_path / "bag", CONTENT, plugin, mode)) == []


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
def test_chunks_of_every_compression_and_a_lone_file(tmp_path, compression):
    assert assert_all_there(write_chunked(tmp_path / "x.mcap", CONTENT, compression)) == []


@pytest.mark.parametrize("options", [{"use_chunking": False}, {"use_summary_offsets": False, "use_statistics": False}])
def test_files_without_chunks_or_index_are_read_in_order(tmp_path, options):
    mixed = CONTENT[::-1]
    assert assert_all_there(write_chunked(tmp_path / "x.mcap", mixed, **options)) == []


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_reordered_bag_comes_in_order(tmp_path, plugin):
    order = np.random.default_rng(5).permutation(len(CONTENT))
    assert assert_all_there(write_bag(tmp_path / "bag", [CONTENT[k] for k in order], plugin)) == []


def test_chunks_that_overlap_are_merged(tmp_path):
    late = [item for pair in zip(CONTENT[100:], CONTENT[:-100], strict=True) for item in pair]
    file = write_chunked(tmp_path / "x.mcap", late, chunk_size=5_000)
    with open_bag(file) as bag:
        received = [time for _, time, _ in bag.messages()]
    assert len(received) == len(late)
    assert received == sorted(received)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_split_bag_is_one_also_where_its_files_overlap(tmp_path, plugin):
    """A latched message, or one that waited in a queue, is in the later file with an earlier time."""
    first, second = CONTENT[:200], CONTENT[200:]
    first[-1], second[0] = second[0], first[-1]
    whole = write_bag(tmp_path / "bag", first, plugin)
    rest = write_bag(tmp_path / "rest", second, plugin)
    suffix = ".mcap" if plugin == StoragePlugin.MCAP else ".db3"
    (whole / f"bag{suffix}").rename(whole / f"bag_0{suffix}")
    shutil.copy(rest / f"rest{suffix}", whole / f"bag_1{suffix}")
    metadata = (whole / "metadata.yaml").read_text()
    listed = metadata.replace(f"  - bag{suffix}\n", f"  - bag_0{suffix}\n  - bag_1{suffix}\n")
    assert listed != metadata
    (whole / "metadata.yaml").write_text(listed)
    assert assert_all_there(whole) == []
    (whole / "metadata.yaml").unlink()
    assert find_bags(whole) == [whole]
    (problem,) = assert_all_there(whole)
    assert "no metadata.yaml" in problem
    (whole / "metadata.yaml").write_text(listed)
    (whole / f"bag_1{suffix}").unlink()
    with open_bag(whole) as bag:
        assert len(list(bag.messages())) == 200
        assert f"bag_1{suffix} is missing" in bag.problems[0]


def test_several_bags_are_read_as_one(tmp_path):
    imu = write_bag(tmp_path / "imu", [c for c in CONTENT if c[0] == IMU])
    gps = write_bag(tmp_path / "gps", [c for c in CONTENT if c[0] == GPS], StoragePlugin.SQLITE3)
    assert assert_all_there([imu, gps]) == []


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
@pytest.mark.parametrize("share", [0.3, 0.77, 0.999])
def test_what_comes_before_the_cut_is_read(tmp_path, compression, share):
    file = write_chunked(tmp_path / "x.mcap", CONTENT, compression, chunk_size=8_000)
    data = file.read_bytes()
    cut = int(len(data) * share)
    file.write_bytes(data[:cut])
    with open_bag(file) as bag:
        got = numbers(bag)
        assert got == list(range(len(got)))
        # The index at the end takes its share of the file; a chunk holds 8 % of the messages.
        assert len(got) >= COUNT * min(share, 0.9) * 0.85
        assert len(bag.problems) == 1
        assert "cut off" in bag.problems[0]
        if share < 0.9:
            assert f"{bag.end - bag.begin:.1f} s after its begin" in bag.problems[0]


def test_a_chunk_that_the_file_ends_in_is_read_as_far_as_it_goes(tmp_path):
    """rosbags' writer puts a small bag into one chunk: without this nothing would be left of it."""
    bag_dir = write_bag(tmp_path / "bag", CONTENT)
    file = bag_dir / "bag.mcap"
    file.write_bytes(file.read_bytes()[:30_000])
    with open_bag(bag_dir) as bag:
        got = numbers(bag)
        assert len(got) > 50
        assert got == list(range(len(got)))
        assert "cut off" in bag.problems[0]


def test_a_cut_file_without_chunks_is_read_up_to_the_cut(tmp_path):
    file = write_chunked(tmp_path / "x.mcap", CONTENT, use_chunking=False)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with open_bag(file) as bag:
        assert COUNT * 0.4 < len(numbers(bag)) < COUNT * 0.6
        assert "cut off" in bag.problems[0]


def test_a_file_that_ends_in_zeros_says_so(tmp_path):
    """A power cut leaves blocks that were reserved, not written."""
    file = write_chunked(tmp_path / "x.mcap", CONTENT, chunk_size=8_000)
    data = file.read_bytes()
    half = len(data) // 2
    file.write_bytes(data[:half] + bytes(len(data) - half))
    with open_bag(file) as bag:
        assert len(numbers(bag)) > COUNT * 0.35
        assert bag.problems


@pytest.mark.parametrize("compression", ["", "zstd", "lz4"])
def test_a_damaged_chunk_is_left_out_and_the_others_are_read(tmp_path, compression):
    file = write_chunked(tmp_path / "x.mcap", CONTENT, compression, chunk_size=8_000)
    chunk = chunks(file)[4]
    data = bytearray(file.read_bytes())
    middle = chunk.chunk_start_offset + chunk.chunk_length - chunk.compressed_size // 2
    data[middle : middle + 40] = b"\xa5" * 40
    file.write_bytes(data)
    with open_bag(file) as bag:
        assert bag.problems == []
        got = numbers(bag)
        lost = sorted(set(range(COUNT)) - set(got))
        assert 0 < len(lost) < COUNT // 5
        assert lost == list(range(lost[0], lost[-1] + 1))
        assert got[-1] == COUNT - 1
        assert len(bag.problems) == 1
        told = re.search(r"from ([\d.]+) s to ([\d.]+) s .* is damaged and left out", bag.problems[0])
        assert float(told[1]) == pytest.approx(lost[0] * 0.01, abs=0.06)
        assert float(told[2]) == pytest.approx(lost[-1] * 0.01, abs=0.06)
        assert numbers(bag) == got
        assert len(bag.problems) == 1


def test_behind_a_damaged_record_the_index_finds_the_way(tmp_path):
    file = write_chunked(tmp_path / "x.mcap", CONTENT, chunk_size=8_000)
    chunk = chunks(file)[4].chunk_start_offset
    data = bytearray(file.read_bytes())
    data[chunk + 1 : chunk + 9] = (10**6).to_bytes(8, "little")
    file.write_bytes(data)
    with open_bag(file) as bag:
        got = numbers(bag)
        assert COUNT * 0.8 < len(got) < COUNT
        assert got[-1] == COUNT - 1
        assert f"damaged from byte {chunk}" in bag.problems[0]


def test_of_a_truncated_database_the_whole_pages_are_read(tmp_path):
    bag_dir = write_bag(tmp_path / "bag", CONTENT, StoragePlugin.SQLITE3)
    file = bag_dir / "bag.db3"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.7)])
    with open_bag(bag_dir) as bag:
        got = numbers(bag)
        assert len(got) > COUNT // 4
        assert got == sorted(got)
        assert any("damaged" in problem for problem in bag.problems)


def test_around_a_damaged_page_of_a_database_the_rest_is_read(tmp_path):
    bag_dir = write_bag(tmp_path / "bag", CONTENT, StoragePlugin.SQLITE3)
    file = bag_dir / "bag.db3"
    data = bytearray(file.read_bytes())
    page = data.index(np.float64(150.0).tobytes()) // 4096
    data[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
    file.write_bytes(data)
    with open_bag(bag_dir) as bag:
        got = numbers(bag)
        assert got[0] == 0
        assert got[-1] == COUNT - 1
        assert COUNT * 0.9 < len(got) < COUNT
        assert any("damaged" in problem for problem in bag.problems)


def test_a_database_whose_recording_ended_with_a_log_is_read_with_it(tmp_path):
    bag_dir = write_bag(tmp_path / "bag", CONTENT, StoragePlugin.SQLITE3)
    file = bag_dir / "bag.db3"
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("UPDATE messages SET timestamp = timestamp + 1000000000")
    database.commit()
    copy = tmp_path / "copy"
    shutil.copytree(bag_dir, copy)
    database.close()
    with open_bag(copy) as bag:
        assert bag.begin == pytest.approx(START + 1.0)
        assert numbers(bag) == list(range(COUNT))


def test_a_compressed_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    bag_dir = write_bag(tmp_path / "bag", messages(3000), StoragePlugin.MCAP, CompressionMode.FILE)
    file = bag_dir / "bag.mcap.zstd"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.6)])
    with open_bag(bag_dir) as bag:
        got = numbers(bag)
        assert len(got) > 300
        assert got == list(range(len(got)))
        assert bag.problems


def test_bags_without_definitions_are_read_with_ours(tmp_path):
    """As Humble and older write them in sqlite3."""
    bag_dir = write_bag(tmp_path / "bag", CONTENT, StoragePlugin.SQLITE3)
    database = sqlite3.connect(bag_dir / "bag.db3")
    database.execute("DROP TABLE message_definitions")
    database.commit()
    database.close()
    assert assert_all_there(bag_dir) == []


def test_a_type_that_nobody_defines_is_told_when_it_is_asked_for(tmp_path):
    bag_dir = write_bag(tmp_path / "bag", CONTENT, StoragePlugin.SQLITE3)
    database = sqlite3.connect(bag_dir / "bag.db3")
    database.execute("UPDATE topics SET type = 'other_msgs/msg/Thing' WHERE name = ?", (GPS,))
    database.commit()
    database.close()
    with open_bag(bag_dir) as bag:
        assert numbers(bag) == list(range(COUNT))
        assert bag.problems == []
        assert len(list(bag.messages([GPS]))) == COUNT // 10
        assert list(bag.decoded([GPS])) == []
        assert bag.problems == [
            f"{COUNT // 10} message(s) on {GPS} are left out, the first because neither the bag nor geo_nav defines "
            "other_msgs/msg/Thing in a form that can be read"
        ]


def test_messages_that_are_not_what_their_topic_says_are_left_out(tmp_path):
    bag_dir = write_bag(tmp_path / "bag", CONTENT, StoragePlugin.SQLITE3)
    database = sqlite3.connect(bag_dir / "bag.db3")
    database.execute("UPDATE messages SET data = substr(data, 1, 50) WHERE topic_id = 1 AND id % 50 = 0")
    changed = database.execute("SELECT changes()").fetchone()[0]
    database.commit()
    database.close()
    with open_bag(bag_dir) as bag:
        assert len(numbers(bag)) == COUNT - changed
        assert f"{changed} message(s) on {IMU} are left out" in bag.problems[0]


def test_says_what_is_no_bag(tmp_path):
    with pytest.raises(EvaluationError, match="there is no bag at"):
        open_bag(tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match="there is no bag at"):
        find_bags(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for call in (open_bag, find_bags):
        with pytest.raises(EvaluationError, match=r"no bag.*metadata\.yaml"):
            call(tmp_path / "folder")
    (tmp_path / "text.mcap").write_text("no bag at all")
    with pytest.raises(EvaluationError, match="neither MCAP nor sqlite3"):
        open_bag(tmp_path / "text.mcap")
    (tmp_path / "nothing.mcap").touch()
    with pytest.raises(EvaluationError, match="is empty"):
        open_bag(tmp_path / "nothing.mcap")
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(EvaluationError, match="rosbags-convert"):
        open_bag(tmp_path / "old.bag")
    database = sqlite3.connect(tmp_path / "other.db3")
    database.execute("CREATE TABLE people (name TEXT)")
    database.commit()
    database.close()
    with pytest.raises(EvaluationError, match="cannot be read as a rosbag2 file"):
        open_bag(tmp_path / "other.db3")


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_an_empty_bag_says_so_but_not_beside_another(tmp_path, plugin):
    empty = write_bag(tmp_path / "empty", [], plugin)
    with pytest.raises(EvaluationError, match="holds no message"):
        open_bag(empty)
    assert assert_all_there([empty, write_bag(tmp_path / "full", CONTENT)]) == []


def test_finds_one_bag_many_or_a_folder_of_them(tmp_path):
    first = write_bag(tmp_path / "all" / "day" / "one", CONTENT[:20])
    second = write_bag(tmp_path / "all" / "two", CONTENT[:20], StoragePlugin.SQLITE3)
    alone = write_chunked(tmp_path / "all" / "alone.mcap", CONTENT[:20])
    (tmp_path / "all" / "notes").mkdir()
    (tmp_path / "all" / "notes" / "readme.txt").write_text("nothing here")
    assert find_bags(first) == [first]
    assert find_bags(alone) == [alone]
    assert find_bags(tmp_path / "all") == [alone, first, second]
