"""`python -m geo_nav.launcher FILE [--show-args] [name:=value …]`, like `ros2 launch FILE …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from geo_nav.launcher import LaunchError, describe_arguments, parse_arguments, run


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m geo_nav.launcher", description=__doc__)
    parser.add_argument("file", help="a Python launch file")
    parser.add_argument("-s", "--show-args", action="store_true", help="list the arguments of the launch file")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments")
    given = parser.parse_intermixed_args(words)
    try:
        if given.show_args:
            print(describe_arguments(given.file))
            return 0
        return run(given.file, parse_arguments(given.arguments))
    except LaunchError as error:
        print(f"[ERROR] [launch]: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
