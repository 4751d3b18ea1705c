"""What several neural encoders share: the base class of networks, layers, noise, losses."""
