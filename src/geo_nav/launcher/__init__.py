"""Runs ordinary `launch`/`launch_ros` Python launch files on machines that do not have those packages."""

from geo_nav.launcher.arguments import ArgumentHelp, describe_arguments, launch_arguments, parse_arguments
from geo_nav.launcher.background import BackgroundLaunch
from geo_nav.launcher.errors import LaunchError
from geo_nav.launcher.service import LaunchService, run

__all__ = [
    "ArgumentHelp",
    "BackgroundLaunch",
    "LaunchError",
    "LaunchService",
    "describe_arguments",
    "launch_arguments",
    "parse_arguments",
    "run",
]
