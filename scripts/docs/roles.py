"""Griffe extension: the Sphinx roles of our docstrings (``:class:`~geo_nav.fusion.Fusion```) as links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|meth|func|mod|data|attr|exc):`(?P<short>~?)(?P<path>[\w.]+)`")


class Roles(griffe.Extension):
    """Replaces roles while the docstrings are read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """See :class:`griffe.Extension`."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)


def _link(match: re.Match[str]) -> str:
    path = match["path"]
    shown = path.rpartition(".")[2] if match["short"] else path
    # Optional: a private helper, or a name that is relative to its class, has no page to lead to.
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'
