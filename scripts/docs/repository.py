"""MkDocs hook: the files of the repository that the docs link to are pages of the site too.

On GitHub a link such as `../setup.py` or `docs/sites.md` leads to a file. Here every linked file that lies outside
`docs/` becomes a page, as it is, and every link is turned to where the file's page lies.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
HOME = "README.md"
FROM_NAV = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmark/RESULTS.md")
MESSAGES = ("src/geo_nav_msgs/msg", "src/geo_nav_msgs/srv")

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)(?P<path>[^()\s#]+)(?P<anchor>#[^()\s]*)?(?=\))")
_FENCE = re.compile(r"^ *(```|~~~)")


def page_of(path: str) -> str:
    """Where a file of the repository lies in the site, with the anchor if it is a part of a page."""
    if path == HOME:
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if str(PurePosixPath(path).parent) in MESSAGES:
        return f"reference/messages.md#{PurePosixPath(path).stem.lower()}"
    return path if path.endswith(".md") else f"repository/{path}.md"


def file_of(page: str) -> str:
    """The file of the repository that a page of the site is made from."""
    if page == page_of(HOME):
        return HOME
    return f"docs/{page}" if (ROOT / "docs" / page).is_file() or not (ROOT / page).is_file() else page


def outside_code(markdown: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is prose rather than in a fenced block."""
    fenced = False
    for line in markdown.splitlines():
        fence = _FENCE.match(line) is not None
        yield line, not (fenced or fence)
        fenced ^= fence


def linked_file(source: str, link: str) -> str | None:
    """The file that a relative link of ``source`` leads to, as a path in the repository; None where there is none."""
    path = os.path.normpath(PurePosixPath(source).parent / link)
    return path if (ROOT / path).is_file() and not path.startswith("..") else None


def turned(markdown: str, source: str) -> str:
    """The text of ``source``, its links turned to the pages of the site; what leads to nothing stays and fails."""
    here = PurePosixPath(page_of(source).partition("#")[0]).parent

    def turn(match: re.Match[str]) -> str:
        path = linked_file(source, match["path"])
        if path is None:
            return match[0]
        page, _, anchor = page_of(path).partition("#")
        return os.path.relpath(page, here) + (match["anchor"] or (f"#{anchor}" if anchor else ""))

    return "\n".join(_LINK.sub(turn, line) if prose else line for line, prose in outside_code(markdown)) + "\n"


def linked_files(source: str) -> set[str]:
    """The files of the repository that a Markdown file links to."""
    lines = (line for line, prose in outside_code((ROOT / source).read_text(encoding="utf-8")) if prose)
    found = (linked_file(source, match["path"]) for line in lines for match in _LINK.finditer(line))
    return {path for path in found if path is not None}


def repository_pages() -> dict[str, str]:
    """The pages that files outside `docs/` become: path in the site → path in the repository."""
    waiting = [HOME, *FROM_NAV, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")))]
    seen: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        page = page_of(path)
        if page in seen:
            continue
        seen[page] = path
        waiting += linked_files(path) if path.endswith(".md") else []
    return {page: path for page, path in seen.items() if not path.startswith("docs/") and "#" not in page}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the repository's pages."""
    for page, path in repository_pages().items():
        text = (ROOT / path).read_text(encoding="utf-8")
        if not path.endswith(".md"):
            language = {".py": "python", ".yaml": "yaml", ".sh": "bash"}.get(PurePosixPath(path).suffix, "text")
            text = f"# {path}\n\n````{language}\n{text}````\n"
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns the links of a page."""
    return turned(markdown, file_of(page.file.src_uri))
