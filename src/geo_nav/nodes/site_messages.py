"""The site model → what is said of it."""

from __future__ import annotations

from pathlib import Path

from geo_nav.site import SiteModel
from geo_nav_msgs.msg import SiteInfo


def site_info(site: SiteModel, descriptor: Path, map_frame: str) -> SiteInfo:
    """The message `site`, but for its stamp.

    Args:
        site: the model.
        descriptor: its site.yaml.
        map_frame: name of its local frame.
    """
    info = SiteInfo(name=site.name, descriptor=str(descriptor.resolve()), triangles=site.triangles)
    info.header.frame_id = map_frame
    info.origin.latitude, info.origin.longitude = site.frame.latitude, site.frame.longitude
    info.origin.altitude = site.frame.height
    for point, values in zip((info.min, info.max, info.sigma), (*site.bounds, site.error.sigma), strict=True):
        point.x, point.y, point.z = (float(v) for v in values)
    return info
