"""What ml/load.py is made of: files, CSV lines, and the formats of numbers and times in texts."""
