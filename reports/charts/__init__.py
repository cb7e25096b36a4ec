"""The charts of the insight site: Altair, rendered to SVG within the page; a module per section.

A function that draws a chart takes rows of the page (query.py), a width in pixels and a label for
screen readers, and returns one `<svg>`.
"""

from reports.charts import do, happened, who, will

__all__ = ["do", "happened", "who", "will"]
