"""Headless OpenGL contexts through EGL, on a chosen device."""

from __future__ import annotations

from typing import Any

import moderngl

from geo_nav.rendering.errors import RenderingError

_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")
_ADVICE = (
    "headless OpenGL needs EGL: on Debian/Ubuntu `apt install libegl1 libgl1 libgl1-mesa-dri` (a GPU's own driver "
    "brings its own), or choose the rendering backend 'raycast'"
)


def create_context(device: str) -> Any:
    """A standalone OpenGL 3.3 core context.

    Args:
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``gpu``, or the index of an EGL device.

    Raises:
        RenderingError: EGL is missing, or there is no such device.
    """
    if device.isdigit():
        context = _open(int(device))
        if isinstance(context, str):
            raise RenderingError(f"EGL device {device} cannot be used: {context}; {_ADVICE}")
        return context
    software, problem, index = None, "no EGL device", 0
    while not isinstance(context := _open(index), str):
        index += 1
        if not is_software(context):
            if device != "cpu":
                _release(software)
                return context
        elif software is None:
            if device == "cpu":
                return context
            software = context
            continue
        context.release()
    problem = context
    if software is not None and device == "auto":
        return software
    _release(software)
    if index == 0:
        raise RenderingError(f"no OpenGL context: {problem}; {_ADVICE}")
    raise RenderingError(f"none of the {index} EGL devices is a {device.upper()}: use device 'auto' or an index")


def is_software(context: Any) -> bool:
    """Whether a context renders on the CPU (Mesa's llvmpipe)."""
    return any(name in str(context.info["GL_RENDERER"]).lower() for name in _SOFTWARE)


def _open(index: int) -> Any:
    """The context of an EGL device, or why there is none, in words."""
    try:
        create: Any = moderngl.create_context  # its stub types the options as if they were one dict
        return create(standalone=True, backend="egl", device_index=index, require=330)
    except Exception as error:  # glcontext raises plain Exception, ImportError or ValueError
        return str(error) or type(error).__name__


def _release(context: Any) -> None:
    if context is not None:
        context.release()
