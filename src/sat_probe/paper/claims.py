"""Claims of the paper, one entry each, with the check that gives the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial

import pandas as pd

from sat_probe.paper import claims_ablation as ablation
from sat_probe.paper import claims_heads as heads
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import ACROSS, Finding, not_measured


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper.

    Attributes:
        section: section of the study, in the paper's order.
        text: the claim.
        check: computes the findings from the tables of a study.
        needs: what was not measured if there are no findings.
        paper: the paper's own number, or a note that there is none.
    """

    section: str
    text: str
    check: Callable[[StudyFiles], Iterable[Finding]]
    needs: str
    paper: str = "no number given"

    def findings(self, files: StudyFiles) -> list[Finding]:
        """Return the findings about the claim, or the one that nothing was measured."""
        return list(self.check(files)) or [not_measured(ACROSS, self.needs)]


SECTIONS = {
    "categories": "Categories", "offsets": "Offsets", "segmentation": "Segmentation", "relations": "Relation maps",
    "importance": "Importance", "refinement": "Refinement and speed", "control": "Control",
}  # fmt: skip
_CURVES = "importance, with sums per utterance,"
CLAIMS = (
    Claim("categories", "Every model has global, vertical and diagonal heads", heads.all_categories, "any model"),
    Claim("categories", "M3 has the most diagonal heads", heads.most_diagonal_heads, "a second model"),
    Claim("categories", "A larger C_num makes more global heads", heads.more_global_heads, "a second model"),
    Claim("offsets", "Focused diagonal heads look beside the frame itself", heads.off_the_main_diagonal, "any model"),
    Claim("offsets", "The offset of diagonal heads grows with C_num", heads.offset_grows,
          "a second model with diagonal heads"),
    Claim("segmentation", "Attention beats MFCC at finding phone boundaries", heads.attention_beats_mfcc,
          "segmentation", "M3 +3.31 (79.99 against 76.68), M6 +1.75, M9 +1.51"),
    Claim("segmentation", "The R-value of attention falls with C_num", heads.falls_with_c_num,
          "segmentation of a second model", "M3 79.99, M6 78.43, M9 78.19"),
    Claim("relations", "Vertical heads focus on certain phones, or neglect them", heads.vertical_heads_choose_phones,
          "any model"),
    Claim("importance", "Diagonal heads matter more than vertical ones",
          partial(ablation.order_differences, worse="diagonality", better="verticality"), _CURVES,
          "M3, 24 of 144 diagonal heads: L1 0.26 to 0.58, phones 62.4 to 58.2, speakers (frame) 97 to 34"),
    Claim("importance", "Vertical heads matter more than global ones",
          partial(ablation.order_differences, worse="verticality", better="globalness"), _CURVES),
    Claim("importance", "Globalness is a better order to prune by than weight",
          partial(ablation.order_differences, worse="weight", better="globalness", first=False, only="speakers"),
          _CURVES),
    Claim("importance", "Half the heads can go", ablation.half_can_go, _CURVES,
          "M3, 96 of 144: phones 62.4 to 62.6, speakers (utterance) ~99"),
    Claim("importance", "A span of 15 to 25 frames helps phones", ablation.near_span_helps_phones, _CURVES,
          "M3 62.4 to 63.0, M9 65.5 to 65.8"),
    Claim("refinement", "A model without its global or vertical heads, or with a limited span, is faster",
          ablation.removal_is_faster, "speed"),
    Claim("control", "Training, not the architecture, makes the heads what they are", ablation.far_from_untrained,
          "the control", "not in the paper"),
)  # fmt: skip


def findings(files: StudyFiles) -> pd.DataFrame:
    """Return every finding about every claim: columns section, claim, paper and those of `Finding`."""
    return pd.DataFrame(
        {"section": claim.section, "claim": claim.text, "paper": claim.paper, **asdict(finding)}
        for claim in CLAIMS
        for finding in claim.findings(files)
    )
