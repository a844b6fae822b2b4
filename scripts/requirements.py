"""Prints the requirements that setup.py declares, one a line: `requirements.py [EXTRA …]`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import setuptools


def main() -> None:
    """Runs setup.py with a `setup` that only looks at its arguments."""
    declared: dict[str, Any] = {}
    setuptools.setup = declared.update
    runpy.run_path(str(Path(__file__).resolve().parent.parent / "setup.py"))
    extras: dict[str, list[str]] = declared["extras_require"]
    for requirement in declared["install_requires"] + [r for name in sys.argv[1:] for r in extras[name]]:
        print(requirement)


if __name__ == "__main__":
    main()
