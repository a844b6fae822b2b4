"""JSON files that others wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geo_nav.evaluation.errors import EvaluationError


def read_json(path: Path, kind: type) -> Any:
    """What a JSON file holds.

    Args:
        path: of the file.
        kind: ``dict`` or ``list``, as it must hold.

    Raises:
        EvaluationError: it cannot be read, is not JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise EvaluationError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, kind):
        raise EvaluationError(f"{path} must hold a JSON {'array' if kind is list else 'object'}")
    return content
