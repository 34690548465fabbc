"""What figures and pages call the metrics of heads along an axis."""

from __future__ import annotations

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
