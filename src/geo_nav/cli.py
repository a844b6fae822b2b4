"""`geo-nav`: the command line. One subcommand, one file in `commands/`; each imports what it needs when it runs."""

from __future__ import annotations

import sys

import typer

from geo_nav import GeoNavError, __version__
from geo_nav.commands import (
    bench,
    compare,
    demo,
    evaluate,
    evaluate_site,
    export_matcher,
    launch,
    make_bag,
    monitor,
    register,
    report,
    simulate,
    site,
)

app = typer.Typer(
    name="geo-nav",
    help="Absolute navigation without GPS: camera frames registered against a 3D site model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(site.app, name="site")
app.add_typer(simulate.app, name="simulate")
app.command("register")(register.register)
app.command("evaluate-site")(evaluate_site.evaluate_site)
app.command("evaluate")(evaluate.evaluate)
app.command("make-bag")(make_bag.make_bag)
app.add_typer(bench.app, name="bench")
app.command("export-matcher")(export_matcher.export_matcher)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("demo")(demo.demo)
app.command("monitor")(monitor.monitor)
app.command("launch", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(launch.launch)


@app.command("version")
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


def main() -> None:
    """Console entry: an error of geo_nav's own is one line and exit status 2, not a traceback."""
    try:
        app()
    except GeoNavError as error:
        typer.echo(f"geo-nav: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
