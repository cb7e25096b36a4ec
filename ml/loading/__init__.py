"""The parts of ml/load.py: files, CSV lines, formats, mappings, rows, and the raw tables."""
