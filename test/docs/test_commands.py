"""Every command that the documentation tells to type works: it is run here, or its words are checked against the code.

One that is neither fails: run it (RUN), or say in WORDS_ONLY why only its words are checked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from docs_helpers import PAGES, ROOT, Command, commands, lines_of, spans
from geo_nav.cli import app
from geo_nav.launcher import launch_arguments

TUTORIAL = ROOT / "docs" / "tutorial.md"
ALL = [command for page in PAGES for command in commands(page)]

# Run after the tutorial, in its folder, with what it made in place of the reader's own files.
RUN = (
    r"geo-nav --help",
    r"geo-nav site (info|render) mysite/",
    r"geo-nav compare",
    r"geo-nav report build/demo",
    r"geo-nav export (build/demo|myrun/) --format (?!gpkg)",
    r"evo_ape",
)
OWN_FILES = {
    "mysite": "build/tutorial/survey",
    "myrun": "build/tutorial/run",
    "lastrun": "build/tutorial/run",
    "build/before": "build/tutorial/run",
    "build/after": "build/tutorial/run",
    "build/demo": "build/tutorial/run",
    "/tmp/flight": "build/tutorial/exported",
}
# Documented options that make the tutorial's commands small enough for a test.
SMALLER = {"docs/examples/simulated_survey.py": ["--photos", "6"], "evaluate-site": ["--described"]}

WORDS_ONLY = {
    r"make ": "sets the machine up, or is what runs this test",
    r"geo-nav monitor": "shows a system that runs; test/nodes/test_monitor.py has one",
    r"geo-nav launch (aerial|ground|\S*my)": "needs a vehicle that publishes; test/launcher starts the launch files",
    r"geo-nav launch replay": "plays in real time through the nodes; test/system does so with a shorter bag",
    r"geo-nav report (?!build/demo)": "needs a run of the reader's; one like it is made of the tutorial's",
    r"geo-nav evaluate (?!build/tutorial)": "needs a bag of the reader's, or real data; the tutorial evaluates one",
    r"geo-nav bench": "takes hours; test/evaluation runs each with --quick",
    r"geo-nav export build/demo($| --format gpkg)": "all formats, and a longer run; test/export writes and reads each",
    r"geo-nav export-matcher": "takes minutes; test/matching exports networks",
    r"geo-nav simulate": "a world of 2 km takes minutes; the tutorial makes a smaller one with the same code",
    r"geo-nav register (SITE|mysite/)": "names a photograph of the reader's; the tutorial registers one",
    r"geo-nav (evaluate-site|site assess|make-bag) (DIR|\.\./shared/data)": "needs the reader's survey, or real data",
    r"python benchmark/": "takes minutes to hours",
    r"ros2 ": "an apt ROS is not there; the launch files run under our own runner in test/launcher",
}  # fmt: skip
OTHERS = {
    "colcon": "builds the workspace; scripts/setup.sh runs it",
    "cp": "copies the reader's file",
    "evo_traj": "opens a window",
    "docker": "needs a container runtime and NVIDIA's image",
    "pip": "installs",
    "pytest": "runs this test",
    "rerun": "opens a window",
    "rviz2": "opens a window, and is not there",
    "source": "changes the shell",
    "sudo": "changes the machine",
    "tegrastats": "a Jetson's own",
    "wait": "the shell's own",
}


def matches(command: Command, patterns: Any) -> bool:
    return any(re.match(pattern, " ".join(command.words)) for pattern in patterns)


def ids(command: Command) -> str:
    return f"{command.page}:{command.line}"


def is_run(command: Command) -> bool:
    """Whether a test below runs it."""
    ours = command.words[0] == "geo-nav" or command.words[0] == "python"
    tutorial = command.page == "docs/tutorial.md" and ours and not matches(command, WORDS_ONLY)
    return tutorial or matches(command, RUN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_bash_blocks(page: Path) -> None:
    """So that none is overlooked."""
    for number, line, language in lines_of(page):
        if re.match(r"^ *(\$ )?(geo-nav|ros2|colcon|make|python benchmark/\S+) \S", line) and language != "bash":
            prose = language is None and not line.startswith("    ")
            assert prose, f"{page.relative_to(ROOT)}:{number}: put this into a ```bash block: {line}"


@pytest.mark.parametrize("command", ALL, ids=ids)
def test_every_command_is_run_or_listed(command: Command) -> None:
    known = command.words[0] in OTHERS or is_run(command) or matches(command, WORDS_ONLY)
    assert known, f"{command.where}\nrun it in this test, or say in WORDS_ONLY why only its words are checked"


def test_no_entry_of_the_lists_is_left_over() -> None:
    for pattern in [*RUN, *WORDS_ONLY]:
        assert any(matches(command, [pattern]) for command in ALL), f"no command matches {pattern!r} any more"
    used = {command.words[0] for command in ALL}
    assert set(OTHERS) <= used, f"no command begins with {set(OTHERS) - used} any more"


@pytest.mark.parametrize("command", ALL, ids=ids)
def test_words(command: Command) -> None:
    """The sub-command, every option, launch argument, target and file exist; values are of the right type."""
    program, *words = command.words
    if program == "geo-nav":
        leaf, rest = leaf_of(words, command)
        if leaf.name == "launch":
            check_launch(rest[0], rest[1:], command)
        else:
            parse(leaf, rest, command)
    elif program == "make":
        check_make([*command.variables, *words], command)
    elif program == "ros2" and words[:2] == ["launch", "geo_nav"]:
        check_launch(words[2].removesuffix(".launch.py"), words[3:], command)
    elif program == "python":
        source = ROOT / words[0]
        assert source.is_file(), command.where
        for option in (w for w in words[1:] if w.startswith("--")):
            assert f'"{option}"' in source.read_text(), f"{command.where}: no option {option}"
    elif program in ("source", ".") and words[0].startswith("scripts/"):
        assert (ROOT / words[0]).is_file(), command.where


@pytest.mark.parametrize("command", [c for page in PAGES for c in spans(page)], ids=ids)
def test_commands_in_prose(command: Command) -> None:
    """The sub-command and the options exist; arguments may be left out."""
    program, *words = command.words
    if program == "make":
        check_make(words, command)
        return
    leaf, rest = leaf_of(words, command)
    if leaf.name != "launch":
        for option in (w.partition("=")[0] for w in rest if w.startswith("--") and w != "--help"):
            assert option in options_of(leaf), f"{command.where}: no option {option}"


def leaf_of(words: list[str], command: Command) -> tuple[Any, list[str]]:
    """The sub-command, and the words after its name."""
    node = typer.main.get_command(app)
    while words and words[0] in getattr(node, "commands", {}):
        node, words = node.commands[words[0]], words[1:]
    below = getattr(node, "commands", None)
    assert below is None or not words or words[0] in ("--help", "…"), f"{command.where}: no sub-command {words[:1]}"
    return node, words


def options_of(leaf: Any) -> set[str]:
    return {name for p in leaf.params for name in (*p.opts, *p.secondary_opts)}


def parse(leaf: Any, words: list[str], command: Command) -> None:
    """Parses as the command line does, but runs nothing."""
    if "--help" in words or hasattr(leaf, "commands"):
        return
    try:
        leaf.make_context(leaf.name, list(words))
    except Exception as error:
        pytest.fail(f"{command.where}: {getattr(error, 'message', error)}")


def check_launch(file: str, words: list[str], command: Command) -> None:
    path = ROOT / "launch" / f"{file}.launch.py"
    if not path.is_file():
        assert file.endswith(".launch.py"), f"{command.where}: no launch file {file}"  # the reader's own
        return
    known = {argument.name for argument in launch_arguments(path)}
    for word in words:
        name, separator, _ = word.partition(":=")
        assert word in ("…", "--show-args") or (separator and name in known), f"{command.where}: no argument {word}"


def check_make(words: list[str], command: Command) -> None:
    makefile, setup = (ROOT / "Makefile").read_text(), (ROOT / "scripts" / "setup.sh").read_text()
    for word in words:
        name, is_variable, _ = word.partition("=")
        known = re.search(rf"^{name} \?=" if is_variable else rf"^{name}:", makefile, re.MULTILINE)
        assert known or (is_variable and f"#   {name}=" in setup), f"{command.where}: there is no {name}"


def as_made(word: str) -> str:
    """A word with the tutorial's files in place of the reader's."""
    for own, made in OWN_FILES.items():
        word = re.sub(rf"^{own}(?=/|$)", made, word)
    return word


@pytest.mark.timeout(900)
def test_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tutorial from its first command to its last, and what other pages do with the same files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    done = 0
    for command in [*commands(TUTORIAL), *(c for c in ALL if c.page != "docs/tutorial.md")]:
        if not is_run(command):
            continue
        program, *words = map(as_made, command.words)
        if program == "python":
            subprocess.run([sys.executable, *words, *SMALLER.get(words[0], [])], check=True)
        elif program == "evo_ape":
            subprocess.run([Path(sys.executable).with_name(program), *words], check=True)
        else:
            result = CliRunner().invoke(app, [*words, *SMALLER.get(words[0], [])])
            assert result.exit_code == 0, f"{command.where}:\n{result.output}\n{result.exception}"
        done += 1
    assert done >= 8
    assert {path.name for path in (tmp_path / "build" / "tutorial").iterdir()} >= {
        "survey", "oblique.png", "match.jpg", "flight"
    }  # fmt: skip
