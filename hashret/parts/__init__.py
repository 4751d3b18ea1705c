"""Parts: what several encoders share."""
