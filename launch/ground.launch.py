"""Navigation of a ground vehicle: the nodes and arguments of aerial.launch.py with config/ground.yaml.

ros2 launch geo_nav ground.launch.py site:=/maps/campus/site.yaml image_topic:=/front/image_raw imu_topic:=/imu
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("geo_nav")
CONFIG = PathJoinSubstitution([SHARE, "config", "ground.yaml"])
NAVIGATION = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "aerial.launch.py"]))


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument("config", default_value=CONFIG, description="YAML file of all nodes' parameters"),
            IncludeLaunchDescription(NAVIGATION, launch_arguments=[("config", LaunchConfiguration("config"))]),
        ]
    )
