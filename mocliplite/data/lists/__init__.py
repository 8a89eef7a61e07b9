"""Readers of the lists in dataset.lists, one module per format. `formats` chooses the reader by content."""
