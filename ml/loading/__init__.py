"""The parts of ml/load.py: files, CSV lines, formats, mappings, rows, raw tables, the ledger."""
