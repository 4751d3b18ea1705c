"""The command line: parse, call the Python API, print. `main` is the entry point."""

from hashret.cli.app import main

__all__ = ["main"]
