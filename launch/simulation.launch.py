"""A simulated flight in real time, navigated by the nodes of aerial.launch.py; it ends when the flight does.

    ros2 launch geo_nav simulation.launch.py site:=build/worlds/…/site.yaml duration:=180

`make demo` does this, with the world made first and a report afterwards. The arguments of aerial.launch.py hold too.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("geo_nav")
CONFIG = PathJoinSubstitution([SHARE, "config", "aerial.yaml"])
NAVIGATION = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "aerial.launch.py"]))
SETTINGS = ("duration", "gps_outage_start", "seed", "worlds_dir")
TOPICS = {
    "image_raw": "image_topic",
    "camera_info": "camera_info_topic",
    "imu": "imu_topic",
    "gps": "gps_topic",
}


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument("site", description="site.yaml of the simulated world's survey"),
            DeclareLaunchArgument("duration", default_value="180.0", description="of the flight, s"),
            DeclareLaunchArgument("gps_outage_start", default_value="10.0", description="when GPS is lost for good, s"),
            DeclareLaunchArgument("seed", default_value="7", description="of the world, the flight and the noise"),
            DeclareLaunchArgument("worlds_dir", default_value="build/worlds", description="where worlds are kept"),
            DeclareLaunchArgument("config", default_value=CONFIG, description="YAML file of all nodes' parameters"),
            IncludeLaunchDescription(NAVIGATION),
            Node(
                package="geo_nav",
                executable="simulator",
                name="simulator",
                namespace="/geo_nav",
                output="screen",
                parameters=[LaunchConfiguration("config"), {name: LaunchConfiguration(name) for name in SETTINGS}],
                remappings=[(name, LaunchConfiguration(topic)) for name, topic in TOPICS.items()],
                on_exit=Shutdown(reason="the flight has ended"),
            ),
        ]
    )
