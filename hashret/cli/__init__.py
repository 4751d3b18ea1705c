"""The command line: parses arguments, calls the Python API and prints results. `main` is the entry point."""

from hashret.cli.app import main

__all__ = ["main"]
