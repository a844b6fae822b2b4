"""`geo-nav monitor`: a running navigation, in the terminal or as JSON."""

from __future__ import annotations

from typing import Annotated

import typer

EXIT_STATES = {"TRACKING": 0, "INITIALIZING": 1, "COASTING": 3, "LOST": 4, "RELOCALIZING": 5}
"""Exit status of ``--once`` by state; 2 is an error of the command itself."""

EXIT_NOTHING_HEARD = 6

_SETTLE = 2.5
"""Seconds that ``--once`` goes on listening after the first status: two more, and a diagnosis of every node, s."""


def monitor(
    namespace: Annotated[str, typer.Option(help="Of the navigation's nodes.")] = "geo_nav",
    once: Annotated[bool, typer.Option("--once", help="One snapshot; the exit status tells the state.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON, one line a period, instead of the page.")] = False,
    timeout: Annotated[float, typer.Option(min=0.5, help="With --once: how long to wait for a status, s.")] = 5.0,
    period: Annotated[float, typer.Option(min=0.1, help="From one page to the next, s.")] = 0.5,
    imu_rate: Annotated[float | None, typer.Option(min=0.1, help="IMU rate expected, Hz: less is a warning.")] = None,
    camera_rate: Annotated[float | None, typer.Option(min=0.1, help="The same of camera frames, Hz.")] = None,
) -> None:
    """Shows state, position, protection levels, rates, refused frames and warnings of a running navigation.

    Exit status with --once: 0 TRACKING, 1 INITIALIZING, 3 COASTING, 4 LOST, 5 RELOCALIZING, 6 nothing heard.
    """
    import time
    from json import dumps

    from rich.console import Console
    from rich.live import Live

    from geo_nav.nodes.monitor import SystemListener, listening
    from geo_nav.nodes.monitor_snapshot import Snapshot, snapshot
    from geo_nav.nodes.monitor_view import nothing_heard, page

    console = Console()
    begin = time.monotonic()

    def line(now: Snapshot) -> str:
        return dumps(now.as_json())

    with listening(SystemListener, namespace) as listener:

        def look() -> Snapshot:
            return snapshot(listener, imu_rate, camera_rate)

        if once:
            while listener.status is None and time.monotonic() - begin < timeout:
                time.sleep(0.05)
            if listener.status is not None:
                time.sleep(_SETTLE)
            now = look()
            if json:
                typer.echo(line(now))
            elif now.heard:
                console.print(page(now, time.monotonic() - begin, console.width))
            if not now.heard:
                typer.echo(f"geo-nav monitor: {nothing_heard(now.namespace, now.elsewhere, timeout)}", err=True)
            raise typer.Exit(EXIT_STATES.get(now.state, EXIT_NOTHING_HEARD) if now.heard else EXIT_NOTHING_HEARD)
        try:
            while json or not console.is_terminal:
                time.sleep(period)
                if json:
                    typer.echo(line(look()))
                else:
                    console.print(page(look(), time.monotonic() - begin, console.width))
            with Live(page(look(), 0.0, console.width), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    time.sleep(period)
                    live.update(page(look(), time.monotonic() - begin, console.width), refresh=True)
        except (KeyboardInterrupt, BrokenPipeError):
            return
