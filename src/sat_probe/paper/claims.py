"""Claims of the paper, one entry each, with the check that gives the findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import pandas as pd

from sat_probe.paper.claims_ablation import (
    diagonal_over_vertical,
    far_from_untrained,
    globalness_over_weight,
    half_can_go,
    near_span_helps_phones,
    removal_is_faster,
    vertical_over_global,
)
from sat_probe.paper.claims_boundaries import attention_beats_mfcc, falls_with_c_num
from sat_probe.paper.claims_heads import (
    all_categories,
    more_global_heads,
    most_diagonal_heads,
    off_the_main_diagonal,
    offset_grows,
    vertical_heads_choose_phones,
)
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import Finding


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper.

    Attributes:
        section: section of the study, in the paper's order.
        text: the claim.
        paper: the paper's own number, or a note that there is none.
        check: computes the findings from the tables of a study.
    """

    section: str
    text: str
    paper: str
    check: Callable[[StudyFiles], list[Finding]]


_NONE = "no number given"
SECTIONS = {
    "categories": "Categories", "offsets": "Offsets", "segmentation": "Segmentation", "relations": "Relation maps",
    "importance": "Importance", "refinement": "Refinement and speed", "control": "Control",
}  # fmt: skip
CLAIMS = (
    Claim("categories", "Every model has global, vertical and diagonal heads", _NONE, all_categories),
    Claim("categories", "M3 has the most diagonal heads", _NONE, most_diagonal_heads),
    Claim("categories", "A larger C_num makes more global heads", _NONE, more_global_heads),
    Claim("offsets", "Focused diagonal heads look beside the frame itself", _NONE, off_the_main_diagonal),
    Claim("offsets", "The offset of diagonal heads grows with C_num", _NONE, offset_grows),
    Claim("segmentation", "Attention beats MFCC at finding phone boundaries",
          "M3 +3.31 (79.99 against 76.68), M6 +1.75, M9 +1.51", attention_beats_mfcc),
    Claim("segmentation", "The R-value of attention falls with C_num", "M3 79.99, M6 78.43, M9 78.19",
          falls_with_c_num),
    Claim("relations", "Vertical heads focus on certain phones, or neglect them", _NONE,
          vertical_heads_choose_phones),
    Claim("importance", "Diagonal heads matter more than vertical ones",
          "M3, 24 of 144 diagonal heads: L1 0.26 to 0.58, phones 62.4 to 58.2, speakers (frame) 97 to 34",
          diagonal_over_vertical),
    Claim("importance", "Vertical heads matter more than global ones", _NONE, vertical_over_global),
    Claim("importance", "Globalness is a better order to prune by than weight", _NONE, globalness_over_weight),
    Claim("importance", "Half the heads can go", "M3, 96 of 144: phones 62.4 to 62.6, speakers (utterance) ~99",
          half_can_go),
    Claim("importance", "A span of 15 to 25 frames helps phones", "M3 62.4 to 63.0, M9 65.5 to 65.8",
          near_span_helps_phones),
    Claim("refinement", "A model without its global or vertical heads, or with a limited span, is faster", _NONE,
          removal_is_faster),
    Claim("control", "Training, not the architecture, makes the heads what they are", "not in the paper",
          far_from_untrained),
)  # fmt: skip


def findings(files: StudyFiles) -> pd.DataFrame:
    """Return every finding about every claim: columns section, claim, paper and those of `Finding`."""
    return pd.DataFrame(
        [
            {"section": claim.section, "claim": claim.text, "paper": claim.paper, **asdict(finding)}
            for claim in CLAIMS
            for finding in claim.check(files)
        ]
    )
