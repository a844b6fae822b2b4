"""Pages of the Python reference: every package that names its public things in ``__all__``, each with its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

import mkdocs_gen_files

SOURCE = Path(__file__).resolve().parents[2] / "src"
FOLDER = "reference/python"


def public_names(init: Path) -> list[str]:
    """What ``__all__`` lists, in its order; empty where there is none."""
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def write_pages() -> None:
    """One page a package, and the list of them that the navigation takes."""
    pages = []
    for init in sorted((SOURCE / "geo_nav").rglob("__init__.py")):
        package = ".".join(init.parent.relative_to(SOURCE).parts)
        names = public_names(init)
        if not names:
            continue
        page = f"{package.removeprefix('geo_nav.')}.md"
        pages.append(f"- [{package}]({page})")
        summary = (ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or "").strip()
        with mkdocs_gen_files.open(f"{FOLDER}/{page}", "w") as file:
            file.write(f"# {package}\n\n{summary}\n")
            for name in names:
                file.write(f"\n::: {package}.{name}\n")
    with mkdocs_gen_files.open(f"{FOLDER}/SUMMARY.md", "w") as file:
        file.write("\n".join(pages) + "\n")


write_pages()
