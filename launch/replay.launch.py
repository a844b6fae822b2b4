"""A recorded drive or flight through the nodes of aerial.launch.py or ground.launch.py; it ends when the bag does.

    ros2 launch geo_nav replay.launch.py bag:=flight.mcap site:=/maps/farm/site.yaml imu_topic:=/imu rate:=0.5

Time comes from the bag (/clock). The arguments of aerial.launch.py hold too; the state begins from nothing, and is not
kept, unless `checkpoint` names a file.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

NAVIGATION = [FindPackageShare("geo_nav"), "/launch/", LaunchConfiguration("vehicle"), ".launch.py"]


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="bag folder, or .mcap / .db3 file"),
            DeclareLaunchArgument("rate", default_value="1.0", description="times real time"),
            DeclareLaunchArgument("vehicle", default_value="aerial", choices=["aerial", "ground"], description="kind"),
            DeclareLaunchArgument("skip_topics", default_value="", description="not to play, separated by spaces"),
            DeclareLaunchArgument(
                "gps",
                default_value="use",
                description="use, never, start (until the camera navigates), until:SECONDS",
            ),
            DeclareLaunchArgument(
                "checkpoint",
                default_value="none",
                description="file that the fusion node begins from and keeps its state in; none: no file",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(NAVIGATION), launch_arguments=[("use_sim_time", "true")]
            ),
            Node(
                package="geo_nav",
                executable="bag_player",
                name="bag_player",
                namespace="/geo_nav",
                output="screen",
                parameters=[{name: text(name) for name in ("bag", "rate", "skip_topics", "gps")}],
                on_exit=Shutdown(reason="the bag has ended"),
            ),
        ]
    )


def text(name):
    return ParameterValue(LaunchConfiguration(name), value_type=str)
