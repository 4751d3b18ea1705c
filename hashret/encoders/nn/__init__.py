"""Shared parts of neural encoders: base classes, layers, noise and losses."""
