"""Every command that the documentation tells to type works: it is run here, or its words are checked against the code.

The tutorial is run first, in a folder of its own; then page by page what the others say, on the survey, the bag and the
run that the tutorial made, in place of the reader's. One that is not run must be in WORDS_ONLY, with a reason.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from docs_helpers import PAGES, ROOT, Background, Command, commands, lines_of, spans
from flight_harness import free_domain
from geo_nav.cli import app
from geo_nav.launcher import launch_arguments
from geo_nav.simulation import SimulationConfig, world_folder
from odm_helpers import write_two_projects

TUTORIAL = ROOT / "docs" / "tutorial.md"
ALL = [command for page in PAGES for command in commands(page)]
NAVIGATION = ("site_server", "camera_registration", "fusion")
MONITOR = ("geo-nav", "monitor")
RUN = ("geo-nav", "python", "cp", "evo_ape", "evo_traj", "rerun")
SMALL_BENCH = "--survey mysite --sets survey --parts accuracy --matchers sift --priors tight --frames 1"

# Documented options that make a command small enough for a test; of two values of an option the last one counts.
SMALLER = {
    r"python docs/examples/simulated_survey.py": "--photos 8",
    r"python benchmark/replay.py": "--no-ros",
    r"python benchmark/start_in_motion.py": "--sets kitti --from 30",
    r"python benchmark/fix_correlation.py": "--times 2 --imu mems --duration 40",
    r"geo-nav evaluate-site": "--described",
    r"geo-nav export .* --from 30": "--from 5 --to 15",
    r"geo-nav simulate world": "--size 300",
    r"geo-nav simulate preview": "--size 300 --times 2",
    r"geo-nav simulate bag": "--size 300 --seed 7 --duration 6",
    r"geo-nav bench registration": SMALL_BENCH,
    # Its other parts take a minute each: test/evaluation runs them smaller than options can tell.
    r"geo-nav bench fusion": "--parts real --sets kitti --intervals 10 --noise class --seeds 1 --quick",
}
# The reader's own files: what the tutorial made, under the names that the pages give them.
OWN_FILES = {
    "mysite": "build/tutorial/survey",
    "SITE": "build/tutorial/survey",
    "DIR": "build/tutorial/survey",
    "../shared/data/caliterra": "build/tutorial/survey",
    "IMAGE": "build/tutorial/survey/images/DJI_0005.jpg",
    "photo.jpg": "build/tutorial/survey/images/DJI_0005.jpg",
    "camera.json": "build/tutorial/survey/camera.json",
    "WORLD": str(world_folder(SimulationConfig(seed=7, world_size=300.0, world_dir="build/worlds")) / "site"),
    "myflight": "build/tutorial/flight/bag",
    "bags": "build/tutorial/flight/bag",
    "RUN": "build/tutorial/run",
    "lastrun": "myrun",
    "build/before": "build/tutorial/run",
    "build/after": "build/tutorial/run",
    "build/demo": "build/tutorial/run",
    "my.yaml": "config/aerial.yaml",
    "myvehicle.yaml": "config/aerial.yaml",
}
# The reader's own values: where the tutorial's photograph was taken, a topic of its bag, a folder of this test.
PRIOR = '{"latitude": 47.9863, "longitude": 11.7116, "height": 755, "heading": 324, "pitch": -84, "roll": -19}'
OWN_VALUES = {
    r"^\{.latitude.: 30\.[^}]*\}$": PRIOR,
    r"^12\.0,-8\.5,65,41,-90,0$": "74,79,120,324,-84,-19",
    r"^imu:=/imu/raw$": "imu:=/imu/data",
    r"^/tmp/flight$": "exported",
}

WORDS_ONLY = {
    r"python benchmark/replay.py .* simulated": "another bag through the script of the line above: a minute",
    r"make ": "sets the machine up, or is what runs this test",
    r"ros2 ": "an apt ROS is not there; the launch files run under our own runner",
    r"colcon": "builds the workspace; scripts/setup.sh runs it",
    r"docker": "needs a container runtime and NVIDIA's image",
    r"pip": "installs",
    r"pytest": "runs this test",
    r"rviz2": "is not there",
    r"source": "changes the shell",
    r"sudo": "changes the machine",
    r"tegrastats": "a Jetson's own",
    r"wait": "the shell's own",
}


def matches(command: Command, patterns: Any) -> bool:
    return any(re.match(pattern, " ".join(command.words)) for pattern in patterns)


def ids(command: Command) -> str:
    return f"{command.page}:{command.line}"


def is_run(command: Command) -> bool:
    """Whether a test below runs it."""
    return command.words[0] in RUN and not matches(command, WORDS_ONLY)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_stand_in_bash_blocks(page: Path) -> None:
    """So that none is overlooked."""
    for number, line, language in lines_of(page):
        if re.match(r"^ *(\$ )?(geo-nav|ros2|colcon|make|python benchmark/\S+) \S", line) and language != "bash":
            prose = language is None and not line.startswith("    ")
            assert prose, f"{page.relative_to(ROOT)}:{number}: put this into a ```bash block: {line}"


@pytest.mark.parametrize("command", ALL, ids=ids)
def test_every_command_is_run_or_listed(command: Command) -> None:
    known = is_run(command) or matches(command, WORDS_ONLY)
    assert known, f"{command.where}\nrun it in this test, or say in WORDS_ONLY why only its words are checked"


def test_no_entry_of_the_lists_is_left_over() -> None:
    for pattern in [*SMALLER, *WORDS_ONLY]:
        assert any(matches(command, [pattern]) for command in ALL), f"no command matches {pattern!r} any more"
    for pattern in OWN_VALUES:
        assert any(re.match(pattern, word) for command in ALL for word in command.words), f"nobody says {pattern!r}"
    text = " ".join(word for command in ALL for word in command.words)
    for name in OWN_FILES:
        assert name in text, f"no command names {name!r} any more"


@pytest.mark.parametrize("command", ALL, ids=ids)
def test_words(command: Command) -> None:
    """The sub-command, every option, launch argument, target and file exist; values are of the right type."""
    program, *words = command.words
    if program == "geo-nav":
        leaf, rest = leaf_of(words)
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
    leaf, rest = leaf_of(words)
    if leaf.name != "launch":
        for option in (w.partition("=")[0] for w in rest if w.startswith("--") and w != "--help"):
            assert option in options_of(leaf), f"{command.where}: no option {option}"


def leaf_of(words: list[str]) -> tuple[Any, list[str]]:
    """The sub-command, and the words after its name."""
    node = typer.main.get_command(app)
    while words and words[0] in getattr(node, "commands", {}):
        node, words = node.commands[words[0]], words[1:]
    below = getattr(node, "commands", None)
    assert below is None or not words or words[0] in ("--help", "…"), f"no sub-command {words[:1]}"
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


@dataclass(frozen=True)
class Desk:
    """Where the reader sits: a folder as of a checkout, and what has been typed in it."""

    folder: Path
    typed: set[object]

    def run(self, page: Path) -> None:
        """Runs what a page says, once each; a monitor looks at the navigation that the same page starts."""
        listed = list(commands(page))
        monitors = [c for c in listed if c.words[:2] == MONITOR]
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            for command in listed:
                words = as_typed(command)
                same = what_it_means(words)
                if is_run(command) and words[:2] != MONITOR and same not in self.typed:
                    self.typed.add(same)
                    run(command, words, monitors)
        finally:
            os.chdir(before)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """With the reader's files, after the tutorial from its first command to its last."""
    folder = tmp_path_factory.mktemp("reader") / "checkout"
    (folder / "build").mkdir(parents=True)
    (folder.parent / "shared" / "data").mkdir(parents=True)
    for name in ("benchmark", "config", "docs"):
        (folder / name).symlink_to(ROOT / name)
    for name, made in OWN_FILES.items():
        (folder / name).symlink_to(folder / made)
    desk = Desk(folder, set())
    desk.run(TUTORIAL)
    write_two_projects(folder / "mysite", folder / "odm")
    return desk


def as_typed(command: Command) -> tuple[str, ...]:
    """The words with the reader's values filled in, and with what makes the command small."""
    words = [word for word in command.words if not word.endswith(":=…")]
    for pattern, value in OWN_VALUES.items():
        words = [re.sub(pattern, value, word) for word in words]
    smaller = next((more for pattern, more in SMALLER.items() if matches(command, [pattern])), "")
    return (*words, *smaller.split())


def what_it_means(words: tuple[str, ...]) -> object:
    """The values that a command of ours gets in the end, so that two spellings of it are run once."""
    if words[0] != "geo-nav" or words[1] == "launch" or "--help" in words:
        return words
    leaf, rest = leaf_of(list(words[1:]))
    return words[1 : len(words) - len(rest)], str(sorted(leaf.make_context(leaf.name, rest).params.items()))


def run(command: Command, words: tuple[str, ...], monitors: Sequence[Command]) -> None:
    program, *rest = words
    if words[:2] == ("geo-nav", "launch"):
        run_launch(command, rest, monitors)
    elif program == "geo-nav":
        result = CliRunner().invoke(app, rest)
        assert result.exit_code == 0, f"{command.where}:\n{result.output}\n{result.exception!r}"
    elif program == "python":
        subprocess.run([sys.executable, *rest], check=True)
    elif program == "cp":
        subprocess.run([program, "--remove-destination", *rest], check=True)
    else:
        # A window needs a screen: evo draws into memory, and Rerun checks that it could show every row.
        beside = str(Path(sys.executable).with_name(program))
        arguments = ["rrd", "verify", *rest] if program == "rerun" else rest
        subprocess.run([beside, *arguments], check=True, env={**os.environ, "MPLBACKEND": "Agg"})


def run_launch(command: Command, words: Sequence[str], monitors: Sequence[Command]) -> None:
    """A replay to its end; a navigation until its nodes are up, and then it is interrupted as a reader would."""
    domain, lock = free_domain()
    settings = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    # Checkpoints lie at home, and so do networks that were made once: these stay.
    settings |= {
        "HOME": str(Path.cwd()),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
    }
    with lock, Background(words, settings) as launched:
        if words[1] == "replay":
            assert launched.wait(300) == 0, f"{command.where}:\n{launched.output}"
            return
        for node in NAVIGATION:
            launched.wait_for(rf"\[geo_nav\.{node}\]: (site '|waiting for base_link)")
        for monitor in monitors:
            with Background(monitor.words[1:], settings) as shown:
                shown.wait_for("INITIALIZING" if "--namespace" not in monitor.words else "nothing heard")
                status = shown.wait(60) if "--once" in monitor.words else shown.interrupt()
                # 1 says INITIALIZING: no vehicle publishes here.
                assert status == (1 if "--once" in monitor.words else 0), f"{monitor.where}:\n{shown.output}"
        assert launched.interrupt() == 0, f"{command.where}:\n{launched.output}"
        ended = set(re.findall(r"\[(\w+)-\d+\]: process has finished cleanly", launched.output))
        assert ended >= set(NAVIGATION), f"{command.where}:\n{launched.output}"


@pytest.mark.timeout(900)
def test_tutorial(desk: Desk) -> None:
    made = desk.folder / "build" / "tutorial"
    assert {path.name for path in made.iterdir()} >= {"survey", "oblique.png", "match.jpg", "flight", "run"}
    assert (made / "run" / "report.html").is_file()


def other_pages() -> Iterator[Any]:
    for page in PAGES:
        starts_nodes = any(c.words[:2] == ("geo-nav", "launch") for c in commands(page))
        if page != TUTORIAL:
            yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.system] * starts_nodes)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", other_pages())
def test_page(page: Path, desk: Desk) -> None:
    desk.run(page)


@pytest.mark.parametrize("script", sorted((ROOT / "benchmark").glob("*.py")), ids=lambda script: script.stem)
def test_benchmarks_start_and_have_the_options_that_they_name(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(script), run_name="__main__")
    usage = re.findall(rf"^ *python benchmark/{script.name} .*", script.read_text(), re.MULTILINE)
    assert usage, "its first lines say how it is run"
    options = said.getvalue().split("options:")[1]
    for option in re.findall(r"--[a-z-]+", " ".join(usage)):
        assert re.search(rf"^ +(-\w, )?{option}\b", options, re.MULTILINE), f"no option {option}"
