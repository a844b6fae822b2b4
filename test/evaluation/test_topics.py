import pytest
from rich.console import Console

from geo_nav.evaluation import EvaluationError
from geo_nav.evaluation.bag_files import TopicInfo
from geo_nav.evaluation.topics import choose_topics

KINDS = {
    "imu": "sensor_msgs/msg/Imu",
    "gps": "sensor_msgs/msg/NavSatFix",
    "image": "sensor_msgs/msg/Image",
    "jpeg": "sensor_msgs/msg/CompressedImage",
    "info": "sensor_msgs/msg/CameraInfo",
    "odometry": "nav_msgs/msg/Odometry",
    "pose": "geometry_msgs/msg/PoseStamped",
    "pressure": "sensor_msgs/msg/FluidPressure",
    "field": "sensor_msgs/msg/MagneticField",
}


def bag(*rows: tuple[str, str, int]) -> dict[str, TopicInfo]:
    return {name: TopicInfo(KINDS[kind], count) for name, kind, count in rows}


FIELD_BAG = bag(
    ("/mavros/imu/data", "imu", 1000),
    ("/mavros/imu/data_raw", "imu", 4000),
    ("/mavros/global_position/raw/fix", "gps", 100),
    ("/rtk/fix", "gps", 500),
    ("/front/image_raw", "image", 300),
    ("/front/image_raw/compressed", "jpeg", 300),
    ("/front/camera_info", "info", 300),
    ("/front/depth/image_rect", "image", 900),
    ("/rear/camera_info", "info", 400),
    ("/mavros/local_position/odom", "odometry", 3000),
    ("/wheel_encoders/odom", "odometry", 500),
    ("/vrpn/ground_truth", "pose", 800),
    ("/antennas/heading", "imu", 9000),
    ("/mavros/imu/static_pressure", "pressure", 200),
    ("/mavros/imu/mag", "field", 200),
    ("/geo_nav/odometry", "odometry", 99_999),
    ("/geo_nav/fix", "gps", 99_999),
)


def test_every_role_is_found_by_type_count_and_name():
    assert choose_topics(FIELD_BAG).topics == {
        "imu": "/mavros/imu/data_raw",
        "gps": "/mavros/global_position/raw/fix",
        "image": "/front/image_raw",
        "camera_info": "/front/camera_info",
        "truth": "/vrpn/ground_truth",
        "pressure": "/mavros/imu/static_pressure",
        "heading": "/antennas/heading",
        "magnetic_field": "/mavros/imu/mag",
        "wheel_odometry": "/wheel_encoders/odom",
    }


def test_names_of_the_truth_are_words_not_parts_of_words():
    for name in ("/groundTruth/pose", "/gt", "/uav1/gt_pose", "/ground-truth", "/mocap/body"):
        assert choose_topics(bag((name, "pose", 5))).topics["truth"] == name
    for name in ("/length_pose", "/gtsam/pose", "/truthful"):
        assert "truth" not in choose_topics(bag((name, "pose", 5))).topics


def test_the_gps_is_the_truth_where_nothing_is_named_so():
    chosen = {c.role: c for c in choose_topics(bag(("/gps", "gps", 10), ("/odom", "odometry", 10))).chosen}
    assert chosen["truth"].topic == "/gps"
    assert "position only" in chosen["truth"].why
    assert "wheel_odometry" not in choose_topics(bag(("/odom", "odometry", 10))).topics


def test_an_empty_topic_is_not_taken():
    assert choose_topics(bag(("/imu", "imu", 0), ("/b/imu", "imu", 1))).topics["imu"] == "/b/imu"
    assert choose_topics(bag(("/imu", "imu", 0))).topics == {}


def test_the_camera_info_follows_an_image_that_is_told():
    two = bag(
        ("/a/image", "image", 500),
        ("/a/camera_info", "info", 500),
        ("/b/image", "image", 20),
        ("/b/camera_info", "info", 20),
    )
    assert choose_topics(two).topics["camera_info"] == "/a/camera_info"
    told = choose_topics(two, {"image": "/b/image"})
    assert told.topics["camera_info"] == "/b/camera_info"
    assert next(c for c in told.chosen if c.role == "image").why == "as told"


def test_a_wrong_override_says_what_there_is():
    with pytest.raises(EvaluationError, match=r"no topic /rtk/fixx for gps \(is /rtk/fix meant\?\).*has .*/rtk/fix"):
        choose_topics(FIELD_BAG, {"gps": "/rtk/fixx"})
    with pytest.raises(
        EvaluationError, match=r"/mavros/imu/data is sensor_msgs/msg/Imu; truth takes nav_msgs/Odometry"
    ):
        choose_topics(FIELD_BAG, {"truth": "/mavros/imu/data"})
    with pytest.raises(EvaluationError, match=r"no role 'lidar'.*imu, gps"):
        choose_topics(FIELD_BAG, {"lidar": "/points"})


def test_the_table_shows_the_choice_its_reason_and_the_others():
    console = Console(record=True, width=250)
    console.print(choose_topics(FIELD_BAG).table())
    text = console.export_text()
    line = next(line for line in text.splitlines() if line.startswith("│ imu"))
    assert "/mavros/imu/data_raw" in line
    assert "4,000" in line
    assert "the most messages" in line
    assert line.rstrip("│ ").endswith("/mavros/imu/data")
