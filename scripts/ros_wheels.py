"""Makes a virtual environment that holds the ROS 2 wheels usable by CMake and colcon.

Run with the environment's own Python; running it again changes nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# The message wheels export the include directories of the image they were built in; CMake refuses absent paths.
_BUILD_IMAGE_PATHS = re.compile(r'"/opt/python/[^"]*"')

# Without these two files a prefix is no ament prefix to colcon, and `source install/setup.bash` would not chain it.
_LOCAL_SETUP_SH = """\
# Written by scripts/ros_wheels.py: this virtual environment as an ament prefix.
_geo_nav_prepend() {{
  eval "_geo_nav_value=\\"\\${{$1:-}}\\""
  case ":$_geo_nav_value:" in
    *":$2:"*) ;;
    *) export "$1=$2${{_geo_nav_value:+:$_geo_nav_value}}" ;;
  esac
  unset _geo_nav_value
}}
_geo_nav_prepend AMENT_PREFIX_PATH "{prefix}"
_geo_nav_prepend CMAKE_PREFIX_PATH "{prefix}"
_geo_nav_prepend PATH "{prefix}/bin"
unset -f _geo_nav_prepend
"""
_LOCAL_SETUP_BASH = """\
# Written by scripts/ros_wheels.py.
. "{prefix}/local_setup.sh"
"""


def write_if_changed(path: Path, text: str) -> None:
    """Writes a file only where its content differs, so that its time stamp says when it last changed."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main() -> None:
    """Applies both fixes to the environment of the running Python."""
    prefix = Path(sys.prefix)
    if sys.prefix == sys.base_prefix:
        raise SystemExit("scripts/ros_wheels.py: run it with the Python of a virtual environment (.venv/bin/python)")
    for exported in sorted((prefix / "share").rglob("*Export.cmake")):
        write_if_changed(exported, _BUILD_IMAGE_PATHS.sub('""', exported.read_text(encoding="utf-8")))
    write_if_changed(prefix / "local_setup.sh", _LOCAL_SETUP_SH.format(prefix=prefix))
    write_if_changed(prefix / "local_setup.bash", _LOCAL_SETUP_BASH.format(prefix=prefix))


if __name__ == "__main__":
    main()
