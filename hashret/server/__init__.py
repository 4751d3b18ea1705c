"""The web server: a REST API and pages over one or several indexes. Needs the extra `serve`."""

from hashret.server.settings import Settings

__all__ = ["Settings"]
