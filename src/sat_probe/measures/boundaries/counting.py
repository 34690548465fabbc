"""Rules by which boundary scores count hits.

Three rules are in use and none is a default here, because the choice alone moves the R-value by points:

- ``"rasanen"``: each reference owns a search region of +- tolerance, regions that overlap are cut at their midpoint,
  and a region that contains at least one prediction is one hit. Räsänen, Laine, Altosaar, "An improved speech
  segmentation quality measure: the R-value", Interspeech 2009; the rule of Yang, Liu, Lee, Interspeech 2020, section 5.
- ``"strict"``: the largest one-to-one matching of references and predictions no further apart than the tolerance.
- ``"lenient"``: a reference is hit by any prediction within the tolerance, and a prediction by any reference, so one
  prediction may serve two references.

For any input, hits under rasanen <= strict <= lenient. Times are seconds, kept as whole nanoseconds, so that the
tolerance is inclusive on any decimal grid: 0.35 and 0.33 are within 0.02 although ``0.35 - 0.33 > 0.02`` in floating
point. A prediction exactly between two references belongs to the earlier one.
"""

from typing import Literal

Counting = Literal["rasanen", "strict", "lenient"]
