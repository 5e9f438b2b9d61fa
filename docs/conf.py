"""Build the site: pages in MyST, the API from the docstrings, the figures from runs of today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ignite_signals

project = "ignite_signals"
author = "The ignite_signals authors"
project_copyright = author
version = release = ignite_signals.__version__

extensions = ["matplotlib.sphinxext.plot_directive", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"ignite_signals {version}"

myst_heading_anchors = 3

# Docstrings mark code with single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True

# The plots of the pages are drawn by the code that stands above them.
plot_formats = ["svg"]
plot_html_show_formats = plot_html_show_source_link = False
plot_apply_rcparams = True
plot_rcparams = {"figure.figsize": (7.0, 3.0), "figure.constrained_layout.use": True, "savefig.facecolor": "white"}

# A figure is drawn anew where what it shows, or its script, has changed.
for figure in ("timeline.py", "on_disk.py"):
    subprocess.run([sys.executable, str(Path(__file__).parent / "figures" / figure)], check=True)
