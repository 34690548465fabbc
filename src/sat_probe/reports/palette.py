"""The colours of every figure, page and demo, told apart by colour-blind readers too (Okabe & Ito 2008).

Colour is never alone: each category also has its letter and its marker.
"""

from __future__ import annotations

from types import MappingProxyType

CATEGORIES = ("global", "vertical", "diagonal")
CATEGORY_COLOURS = MappingProxyType({"global": "#E69F00", "vertical": "#0072B2", "diagonal": "#009E73"})
CATEGORY_INK = MappingProxyType(
    {"global": "#000000", "vertical": "#ffffff", "diagonal": "#ffffff"}
)  # text on them
CATEGORY_LETTERS = MappingProxyType({"global": "G", "vertical": "V", "diagonal": "D"})
CATEGORY_MARKERS = MappingProxyType({"global": "o", "vertical": "s", "diagonal": "D"})
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SERIES_MARKERS = ("o", "s", "D", "^", "v", "P", "X")

ATTENTION_COLOURMAP = "viridis"  # attention weights and kernels: dark is little
SPECTROGRAM_COLOURMAP = "Greys"
RELATION_COLOURMAP = "RdBu_r"  # relation maps: blue avoids, white is uniform attention, red prefers
UNRELIABLE_COLOUR = "#d9d9d9"  # cells with too little evidence are marked, not coloured
REFERENCE_COLOUR = "#D55E00"  # reference boundaries
PREDICTION_COLOUR = "#0072B2"  # predicted boundaries
