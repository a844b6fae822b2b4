"""`geo-nav export-matcher`: a matcher's networks as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geo_nav import GeoNavError

_MOST_DIFFERENT = {"full": 0.001, "half": 0.05}
"""Share of an output's values that may differ before an export counts as failed."""


def export_matcher(
    name: Annotated[str, typer.Argument(help="xfeat, xfeat_lighterglue, aliked_lightglue, disk_lightglue, …")],
    output: Annotated[Path | None, typer.Option(help="Folder; else the cache, where a matcher looks itself.")] = None,
    precision: Annotated[str, typer.Option(help="full, or half (float16: for CUDA in onnxruntime).")] = "full",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the comparison.")] = 1,
) -> None:
    """Writes the ONNX file of each network of a matcher, and compares it with torch on random values.

    Prints each file and the largest difference of each output; exit status 1 where a network computes something else.
    """
    from geo_nav.matching import matcher_networks
    from geo_nav.matching.networks.onnx_runtime import cache_folder, exported
    from geo_nav.matching.networks.verification import compare_runtimes

    if precision not in _MOST_DIFFERENT:
        raise GeoNavError(f"precision '{precision}': use full or half")
    networks = matcher_networks(name)
    if not networks:
        raise GeoNavError(f"the matcher '{name}' has no network to export")
    folder = output or cache_folder("")
    half, good = precision == "half", True
    for network in networks:
        try:
            typer.echo(str(exported(network, folder, half)))
            differences = compare_runtimes(network, folder, half, threads)
        except (OSError, RuntimeError, ImportError, TypeError, ValueError) as error:
            raise GeoNavError(f"{network.name} cannot be exported into {folder}: {error}") from error
        for d in differences:
            typer.echo(f"  {d.output}: largest difference {d.largest:.2g}, differing {100 * d.share:.2f} %")
            good &= d.share <= _MOST_DIFFERENT[precision]
    if not good:
        raise typer.Exit(1)
