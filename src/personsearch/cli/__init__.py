"""The command line: one small file per group of commands, each a few lines around one stage."""

from personsearch.cli.app import main

__all__ = ["main"]
