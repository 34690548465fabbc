"""Colours, letters, markers and axis titles of every figure, page and demo.

The colours can be told apart with colour blindness (Okabe & Ito 2008), and are never alone: each category also has a
letter and a marker.
"""

from __future__ import annotations

from types import MappingProxyType

from sat_probe.measures.head_metrics import CATEGORIES as CATEGORIES

CATEGORY_COLOURS = MappingProxyType({"global": "#E69F00", "vertical": "#0072B2", "diagonal": "#009E73"})
# text on them
CATEGORY_INK = MappingProxyType({"global": "#000000", "vertical": "#ffffff", "diagonal": "#ffffff"})
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

AXIS_NAMES = {
    "globalness": "globalness (nats)",
    "verticality": "verticality (nats)",
    "diagonality": "diagonality",
    "globalness_per_log_length": "globalness / log T",
    "verticality_per_log_length": "verticality / log T",
    "mean_offset_ms": "mean offset, key − query (ms)",
    "spread_ms": "spread of the offset (ms)",
    "max_weight": "largest attention weight",
    "sink_share": "utterances with an attention sink (share)",
}
