"""Navigation of an aerial vehicle: site model, registration of camera frames, and fusion with the IMU.

    ros2 launch geo_nav aerial.launch.py site:=/maps/farm/site.yaml image_topic:=/cam/image_raw imu_topic:=/imu

All nodes live in the namespace /geo_nav, and so do their outputs: /geo_nav/odometry, /geo_nav/fix, /geo_nav/status,
/geo_nav/absolute_pose. They configure and activate themselves; one that dies is started again.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("geo_nav"), "config", "aerial.yaml"])
CANNOT_BE_BROUGHT_UP = 2
FUSED = ("imu", "gps", "pressure", "heading", "magnetic_field", "wheel_odometry")
RECORDED = (
    "/geo_nav/odometry nav_msgs/msg/Odometry /geo_nav/absolute_pose geo_nav_msgs/msg/AbsolutePose "
    "/geo_nav/status geo_nav_msgs/msg/NavigationStatus /geo_nav/site geo_nav_msgs/msg/SiteInfo "
    "/geo_nav/fix sensor_msgs/msg/NavSatFix /geo_nav/debug_image/compressed sensor_msgs/msg/CompressedImage "
    "/geo_nav/tie_points geo_nav_msgs/msg/TiePoints /diagnostics diagnostic_msgs/msg/DiagnosticArray "
    "/simulation/truth nav_msgs/msg/Odometry /simulation/gps_cut std_msgs/msg/Float64 "
    "/tf tf2_msgs/msg/TFMessage /tf_static tf2_msgs/msg/TFMessage"
)


ARGUMENTS = {
    "site": ("", "site.yaml or its folder; empty: config's"),
    "config": (CONFIG, "YAML file of all nodes' parameters"),
    "image_topic": ("/camera/image_raw", "camera frames"),
    "camera_info_topic": ("/camera/camera_info", "calibration of the camera"),
    "imu_topic": ("/imu/data", "sensor_msgs/Imu"),
    "gps_topic": ("/gps/fix", "sensor_msgs/NavSatFix, as long as there is one"),
    "pressure_topic": ("/geo_nav/pressure", "sensor_msgs/FluidPressure of a barometer, if there is one"),
    "heading_topic": ("/geo_nav/heading", "sensor_msgs/Imu whose orientation has the yaw of a dual antenna, if any"),
    "magnetic_field_topic": ("/geo_nav/magnetic_field", "sensor_msgs/MagneticField, if there is one"),
    "wheel_odometry_topic": ("/geo_nav/wheel_odometry", "nav_msgs/Odometry of wheels, if there is one"),
    "matcher": ("", "name of a matcher; empty: config's"),
    "checkpoint": ("", "file that a restarted fusion node goes on from; none: no file; empty: config's"),
    "record": ("", "new folder for a bag of the run; empty: none"),
    "visualization": ("false", "true: markers, site mesh and path for RViz and Foxglove"),
    "use_sim_time": ("false", "time comes from /clock"),
    "autostart": ("true", "nodes configure and activate themselves"),
}


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])


def nodes(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {name: given[name] for name in ("site", "matcher", "checkpoint") if given[name]}
    if given["checkpoint"] == "none":
        overrides["checkpoint"] = ""
    overrides |= {name: given[name].lower() in ("true", "1") for name in ("use_sim_time", "autostart")}
    common = {"package": "geo_nav", "namespace": "/geo_nav", "output": "screen"}
    navigation = {"parameters": [given["config"], overrides], "respawn": True, "respawn_delay": 0.2, "on_exit": stop}
    camera = [
        ("image_raw", given["image_topic"]),
        ("image_raw/compressed", given["image_topic"] + "/compressed"),
        ("camera_info", given["camera_info_topic"]),
    ]
    inertial = [(name, given[f"{name}_topic"]) for name in FUSED]
    sensors = (
        f"{given['imu_topic']} sensor_msgs/msg/Imu {given['gps_topic']} sensor_msgs/msg/NavSatFix "
        f"{given['camera_info_topic']} sensor_msgs/msg/CameraInfo"
    )
    recording = {"bag": given["record"], "topics": f"{RECORDED} {sensors}"}
    graph = [
        Node(executable="site_server", name="site_server", **common, **navigation),
        Node(executable="camera_registration", name="camera_registration", remappings=camera, **common, **navigation),
        Node(executable="fusion", name="fusion", remappings=inertial, **common, **navigation),
    ]
    if given["visualization"].lower() in ("true", "1"):
        graph.append(
            Node(executable="visualization", name="visualization", remappings=camera[2:], **common, **navigation)
        )
    recorder = Node(executable="recorder", name="recorder", parameters=[recording], on_exit=stop, **common)
    return [*graph, recorder] if given["record"] else graph


def stop(event, context):
    """A node that died is started again; one that says it cannot be brought up would only say so again."""
    if event.returncode == CANNOT_BE_BROUGHT_UP:
        return [Shutdown(reason=f"{event.process_name} cannot be brought up; it says why above")]
    return None
