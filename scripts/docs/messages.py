"""Reference page of the messages and services: their definitions, comments and all, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mkdocs_gen_files

INTERFACES = Path(__file__).resolve().parents[2] / "src" / "geo_nav_msgs"
INTRODUCTION = """# Messages and services

The interfaces of the package `geo_nav_msgs`, from their definitions. Who publishes them: [topics](../interfaces.md).
"""


@dataclass(frozen=True)
class Entry:
    """A field or a constant of a definition."""

    kind: str
    name: str
    meaning: str


def parsed(definition: str) -> tuple[str, list[Entry]]:
    """What a definition says of itself, and its entries; a comment above a field belongs to it and to those below.

    The comment at the top, up to the first field, is of the whole.
    """
    about: list[str] = []
    above: list[str] = []
    entries: list[Entry] = []
    for line in definition.splitlines():
        content, _, comment = (part.strip() for part in line.partition("#"))
        if not content:
            (above if entries else about).append(comment)
            continue
        kind, _, name = content.partition(" ")
        entries.append(Entry(kind, name.strip().replace("=", " = "), " ".join(filter(None, [*above, comment]))))
        above = []
    return " ".join(filter(None, about)), entries


def table(entries: list[Entry]) -> str:
    """Markdown of the entries."""
    rows = [f"| `{entry.kind}` | `{entry.name}` | {entry.meaning.replace('|', chr(92) + '|')} |" for entry in entries]
    return "\n".join(["| type | name | meaning |", "|---|---|---|", *rows]) + "\n"


def sections() -> Iterator[str]:
    """The page's part of each interface."""
    for path in sorted(INTERFACES.glob("msg/*.msg")):
        about, entries = parsed(path.read_text(encoding="utf-8"))
        yield f"## {path.stem}\n\n{about}\n\n{table(entries)}"
    for path in sorted(INTERFACES.glob("srv/*.srv")):
        request, response = path.read_text(encoding="utf-8").split("\n---\n")
        about, asked = parsed(request)
        _, answered = parsed(response)
        yield f"## {path.stem}\n\n{about}\n\nRequest:\n\n{table(asked)}\nResponse:\n\n{table(answered)}"


with mkdocs_gen_files.open("reference/messages.md", "w") as page:
    page.write("\n".join([INTRODUCTION, *sections()]))
