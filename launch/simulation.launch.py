"""A simulated flight in real time, navigated by the nodes of aerial.launch.py; it ends when the flight does.

    ros2 launch geo_nav simulation.launch.py duration:=180 gps_outage_start:=10

`make demo` does this and reports afterwards. The arguments of aerial.launch.py hold too, but no checkpoint is kept
unless `checkpoint` names a file: the end of one flight is no beginning of the next.
"""

import subprocess

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("geo_nav")
CONFIG = PathJoinSubstitution([SHARE, "config", "aerial.yaml"])
NAVIGATION = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "aerial.launch.py"]))
TOPICS = {"image_raw": "image_topic", "camera_info": "camera_info_topic", "imu": "imu_topic", "gps": "gps_topic"}
WORLD = ("seed", "world_size", "world_dir")
FLIGHT = ("duration", "gps_outage_start")
# In a Python of its own: the one that `ros2 launch` runs in need not have the libraries.
MAKE_WORLD = """
import sys
from geo_nav.simulation import SimulationConfig, ensure_world
seed, world_size, world_dir = sys.argv[1:]
print(ensure_world(SimulationConfig(seed=seed, world_size=world_size, world_dir=world_dir), quiet=True))
"""


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument("duration", default_value="180.0", description="of the flight, s"),
            DeclareLaunchArgument("gps_outage_start", default_value="10.0", description="when GPS is lost for good, s"),
            DeclareLaunchArgument("seed", default_value="7", description="of the world, the flight and the noise"),
            DeclareLaunchArgument("world_size", default_value="2000.0", description="side of the square site, m"),
            DeclareLaunchArgument("world_dir", default_value="build/worlds", description="where worlds are kept"),
            DeclareLaunchArgument("site", default_value="", description="site.yaml; empty: the survey of that world"),
            DeclareLaunchArgument("config", default_value=CONFIG, description="YAML file of all nodes' parameters"),
            DeclareLaunchArgument(
                "checkpoint",
                default_value="none",
                description="file that the fusion node begins from and keeps its state in; none: no file",
            ),
            OpaqueFunction(function=world),
            IncludeLaunchDescription(NAVIGATION),
            Node(
                package="geo_nav",
                executable="simulator",
                name="simulator",
                namespace="/geo_nav",
                output="screen",
                parameters=[
                    LaunchConfiguration("config"),
                    {name: LaunchConfiguration(name) for name in (*WORLD, *FLIGHT)},
                ],
                remappings=[(name, LaunchConfiguration(topic)) for name, topic in TOPICS.items()],
                on_exit=Shutdown(reason="the flight has ended"),
            ),
        ]
    )


def world(context):
    """The site model of the simulated world, made now if it is not there yet."""
    if LaunchConfiguration("site").perform(context):
        return []
    values = [LaunchConfiguration(name).perform(context) for name in WORLD]
    print("[INFO] [simulation.launch.py]: making the world, unless it is there (minutes the first time)", flush=True)
    made = subprocess.run(["python3", "-c", MAKE_WORLD, *values], stdout=subprocess.PIPE, text=True, check=True)
    site = made.stdout.split()[-1]
    return [SetLaunchConfiguration("site", site), LogInfo(msg=["site model of the survey: ", site])]
