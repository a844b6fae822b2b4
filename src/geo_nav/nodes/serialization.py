"""Messages ↔ their bytes."""

from __future__ import annotations

from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

from geo_nav.camera_messages import MessageError


def type_name(message: Any) -> str:
    """The type name of a message, such as ``sensor_msgs/msg/Imu``."""
    kind = type(message)
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def serialized(message: Any) -> bytes:
    """A message as CDR."""
    return bytes(serialize_message(message))


def deserialized(data: bytes, kind: type) -> Any:
    """A message of a class from its CDR.

    Raises:
        MessageError: the bytes are not such a message.
    """
    try:
        return deserialize_message(data, kind)
    except Exception as error:  # whatever rclpy makes of it
        raise MessageError(f"{len(data)} bytes that are not a {kind.__name__}: {error}") from error
