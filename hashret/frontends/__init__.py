"""Front ends: vectorizers that use a model trained elsewhere, one file for each kind of document."""
