"""The subcommands of `geo-nav`, one file each."""
