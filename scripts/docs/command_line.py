"""Reference page of the command line: what `--help` of every command says, written out by typer."""

from __future__ import annotations

import subprocess
import sys

import mkdocs_gen_files

COMMAND = [sys.executable, "-m", "typer", "geo_nav.cli", "utils", "docs", "--name", "geo-nav"]

made = subprocess.run([*COMMAND, "--title", "Command line"], stdout=subprocess.PIPE, text=True, check=True)
with mkdocs_gen_files.open("reference/command_line.md", "w") as page:
    page.write(made.stdout)
