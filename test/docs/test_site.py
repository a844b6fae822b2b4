"""The documentation site builds without a warning, its reference is complete, and nothing comes from the net."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
import yaml

from docs_helpers import PAGES, ROOT, lines_of
from geo_nav.cli import app


class Page(HTMLParser):
    """Anchors of a page, and the files that a browser fetches to show it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        source = given.get("href") if tag == "link" and given.get("rel") == "stylesheet" else given.get("src")
        if source:
            self.fetched.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does it: a warning, such as a link to nothing, is an error."""
    folder = tmp_path_factory.mktemp("site")
    path = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout
    return folder


def test_nothing_is_fetched_from_the_net(site: Path) -> None:
    fetched = {(page, source) for page in site.rglob("*.html") for source in Page(page).fetched}
    assert len(fetched) > 100
    for page, source in fetched:
        assert not urlsplit(source).netloc, f"{page.name} fetches {source}"
        # The page of an error is served from anywhere, so its paths begin at the root.
        file = site / source.lstrip("/") if page.name == "404.html" else page.parent / source
        assert Path(str(file).partition("?")[0]).is_file(), f"{page.name} fetches {source}, which is not there"


def test_every_public_name_has_its_entry(site: Path) -> None:
    rooms = [path.parent for path in (ROOT / "src" / "geo_nav").rglob("__init__.py") if "__all__" in path.read_text()]
    assert len(rooms) > 8
    for room in rooms:
        package = ".".join(room.relative_to(ROOT / "src").parts)
        page = Page(site / "reference" / "python" / f"{package.removeprefix('geo_nav.')}.html")
        assert {f"{package}.{name}" for name in importlib.import_module(package).__all__} <= page.anchors


def parameters_of(values: dict[str, Any], prefix: str = "") -> set[str]:
    nested = {name for k, v in values.items() if isinstance(v, dict) for name in parameters_of(v, f"{prefix}{k}.")}
    return nested | {prefix + k for k, v in values.items() if not isinstance(v, dict)}


def test_every_parameter_of_the_shipped_file_is_described(site: Path) -> None:
    """`test_config_files` holds the file to the models, so the page is held to them too."""
    text = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<h2 id="(\w+)">(.*?)(?=<h2|</article)', text, re.DOTALL))
    content = yaml.safe_load((ROOT / "config" / "aerial.yaml").read_text())
    for key, value in content.items():
        node = key.rpartition("/")[2]
        if node != "**":
            described = set(re.findall(r"<td><code>([\w.]+)</code></td>", sections[node]))
            assert parameters_of(value["ros__parameters"]) <= described


def test_every_command_message_and_launch_file_has_its_section(site: Path) -> None:
    def leaves(command: Any, name: str) -> set[str]:
        below = getattr(command, "commands", {})
        return {leaf for word in below for leaf in leaves(below[word], f"{name}-{word}")} or {name}

    commands = leaves(typer.main.get_command(app), "geo-nav")
    assert commands <= Page(site / "reference" / "command_line.html").anchors
    interfaces = {path.stem.lower() for path in (ROOT / "src" / "geo_nav_msgs").glob("*/*.*")}
    assert interfaces <= Page(site / "reference" / "messages.html").anchors
    files = {path.name.removesuffix(".launch.py") for path in (ROOT / "launch").iterdir() if path.suffix == ".py"}
    assert files <= Page(site / "reference" / "launch.html").anchors


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_on_github(page: Path) -> None:
    for number, line, language in lines_of(page):
        if language is None:
            for target in re.findall(r"\]\((?![a-z]+:|#)([^()\s#]+)[^()\s]*\)", line):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}:{number}: {target}"


def test_lists_are_lists(site: Path) -> None:
    """GitHub takes a list right below a line of text as one, the site does not: a blank line serves both."""
    for page in site.rglob("*.html"):
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        swallowed = re.search(r"<p>[^<]*(?:<(?!/p>)[^<]*)*\n(?:- |\d\. )[^<]*", text)
        assert swallowed is None, f"{page.name}: {swallowed[0][:200]}"
