"""Colours of a mesh: textures, material colours, vertex colours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from geo_nav.site.errors import SiteError

Picture = npt.NDArray[np.uint8]


def require_textures(file: Path) -> None:
    """Checks the files that a mesh names; mesh readers skip a missing texture silently and leave the part grey.

    Raises:
        SiteError: a material library or a texture is missing; it is named.
    """
    suffix = file.suffix.lower()
    if suffix == ".obj":
        for library in _keyword(file.read_bytes(), rb"mtllib"):
            material = file.parent / library
            _require(material, file, "material library")
            for line in _keyword(material.read_bytes(), rb"map_Kd"):
                _require(material.parent / _texture_name(line, material.parent), material, "texture")
    elif suffix == ".gltf":
        try:
            images = json.loads(file.read_text(encoding="utf-8")).get("images", [])
            uris = [image["uri"] for image in images if "uri" in image]
        except (ValueError, AttributeError, TypeError) as error:
            raise SiteError(f"{file} is not a glTF file: {error!r}") from error
        for uri in uris:
            if not uri.startswith("data:"):
                _require(file.parent / unquote(uri), file, "texture")


def _keyword(content: bytes, keyword: bytes) -> list[str]:
    lines = re.findall(rb"^[ \t]*" + keyword + rb"[ \t]+(.+?)[ \t\r]*$", content, re.MULTILINE)
    return [line.decode("utf-8", errors="replace") for line in lines]


def _texture_name(line: str, folder: Path) -> str:
    # Options may precede the name (-s 1 1 1 wall.png); a name may hold spaces.
    return line if (folder / line).is_file() or not line.startswith("-") else line.split()[-1]


def _require(path: Path, named_in: Path, what: str) -> None:
    if not path.is_file():
        raise SiteError(f"the {what} {path}, named in {named_in.name}, does not exist: put it there")


def material_picture(visual: Any, file: Path) -> Picture | None:
    """(H, W, 3) texture of a trimesh visual, its single colour as (1, 1, 3), or None when it has neither.

    A site's textures are photographs: they are drawn as they are, without the material's factor or lighting.

    Raises:
        SiteError: the texture is damaged.
    """
    material = getattr(visual, "material", None)
    if material is None:
        return None
    image = getattr(material, "baseColorTexture", None)
    if image is None:
        image = getattr(material, "image", None)
    if image is None:
        return _material_color(material).reshape(1, 1, 3)
    try:
        return np.array(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise SiteError(f"a texture of {file} cannot be read, it may be damaged: {error}") from error


def _material_color(material: Any) -> Picture:
    factor = getattr(material, "baseColorFactor", None)
    if factor is not None:
        # glTF's factor is linear light; pictures are sRGB (IEC 61966-2-1).
        linear = _unit_color(factor)
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
        return np.round(srgb * 255.0).astype(np.uint8)
    diffuse = getattr(material, "diffuse", None)
    return np.full(3, 255, np.uint8) if diffuse is None else np.round(_unit_color(diffuse) * 255.0).astype(np.uint8)


def _unit_color(value: Any) -> npt.NDArray[np.float64]:
    color = np.asarray(value).ravel()[:3]
    scale = 1.0 if color.dtype.kind == "f" else 255.0
    return np.clip(color.astype(np.float64) / scale, 0.0, 1.0)


def vertex_colors(visual: Any, count: int) -> Picture | None:
    """(count, 3) vertex colours of a trimesh visual, or None when it has none of its own."""
    if getattr(visual, "kind", None) == "vertex":
        return np.ascontiguousarray(np.asarray(visual.vertex_colors, dtype=np.uint8)[:, :3])
    attributes = getattr(visual, "vertex_attributes", {})
    colors = attributes.get("color") if hasattr(attributes, "get") else None
    if colors is None or len(colors) != count:
        return None
    rgb: npt.NDArray[np.float64] = np.asarray(colors, dtype=np.float64)[:, :3]
    if np.asarray(colors).dtype.kind == "f":
        rgb = np.round(rgb * 255.0)
    return np.clip(rgb, 0, 255).astype(np.uint8)
