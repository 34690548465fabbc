"""Phone sets: inventories of phones, the labels that fold into them, and natural classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from sat_probe.errors import AlignmentError, ConfigurationError

NaturalClass = Literal["vowel", "stop", "fricative", "affricate", "nasal", "approximant", "silence"]
SILENCE = "sil"

# TIMIT's 61 labels -> the 48 phones trained and the 39 scored by Lee & Hon, "Speaker-independent phone recognition
# using hidden Markov models", IEEE Trans. ASSP 37(11), 1989, table II: closures, pauses, epinthetic silence are `sil`,
# the glottal stop `q` is deleted ("-"). Natural class: manner of articulation, + voiced or - voiceless; a closure is
# silence, voiced if voicing continues behind it.
_TIMIT = """
    iy   iy  iy  vowel+       ih   ih  ih  vowel+        eh   eh  eh  vowel+        ae   ae  ae  vowel+
    aa   aa  aa  vowel+       ah   ah  ah  vowel+        ao   ao  aa  vowel+        uh   uh  uh  vowel+
    uw   uw  uw  vowel+       ux   uw  uw  vowel+        er   er  er  vowel+        axr  er  er  vowel+
    ax   ax  ah  vowel+       ax-h ax  ah  vowel-        ix   ix  ih  vowel+        ey   ey  ey  vowel+
    ay   ay  ay  vowel+       oy   oy  oy  vowel+        aw   aw  aw  vowel+        ow   ow  ow  vowel+
    l    l   l   approximant+ el   el  l   approximant+  r    r   r   approximant+
    w    w   w   approximant+ y    y   y   approximant+
    m    m   m   nasal+       em   m   m   nasal+        n    n   n   nasal+        en   en  n   nasal+
    nx   n   n   nasal+       ng   ng  ng  nasal+        eng  ng  ng  nasal+
    ch   ch  ch  affricate-   jh   jh  jh  affricate+
    dh   dh  dh  fricative+   th   th  th  fricative-    v    v   v   fricative+    f    f   f   fricative-
    z    z   z   fricative+   s    s   s   fricative-    zh   zh  sh  fricative+    sh   sh  sh  fricative-
    hh   hh  hh  fricative-   hv   hh  hh  fricative+
    b    b   b   stop+        d    d   d   stop+         g    g   g   stop+         dx   dx  dx  stop+
    p    p   p   stop-        t    t   t   stop-         k    k   k   stop-         q    -   -   stop-
    bcl  vcl sil silence+     dcl  vcl sil silence+      gcl  vcl sil silence+
    pcl  cl  sil silence-     tcl  cl  sil silence-      kcl  cl  sil silence-
    epi  epi sil silence-     pau  sil sil silence-      h#   sil sil silence-
"""

# The 39 phones of the CMU Pronouncing Dictionary; the last digit of a vowel is its stress (AH0, AH1, AH2).
_ARPABET = """
    AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH
""".split()
# Labels of aligners for silence (including an empty interval) and for speech without phones.
_ALIGNER_SILENCES = ("", "sil", "SIL", "sp", "SP", "<eps>", "pau", "h#", "#h")
_ALIGNER_NOISES = ("spn", "SPN", "nsn", "NSN", "+NSN+", "+SPN+", "<unk>")


@dataclass(frozen=True, slots=True)
class PhoneSet:
    """An inventory of phones and the labels that fold into it.

    Args:
        name: as configurations name it.
        phones: the inventory; the position of a phone is its integer label.
        folding: transcribed label -> phone, or None where the label is deleted (its frames are unlabelled).
        classes: phone -> natural class and whether it is voiced.
    """

    name: str
    phones: tuple[str, ...]
    folding: Mapping[str, str | None] = field(compare=False, repr=False)
    classes: Mapping[str, tuple[NaturalClass, bool]] = field(compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.phones)

    def __contains__(self, label: object) -> bool:
        return label in self.folding

    def fold(self, label: str) -> str | None:
        """The phone of a transcribed label; None for a label that is deleted.

        Raises:
            AlignmentError: if the label is not known to this set.
        """
        try:
            return self.folding[label]
        except KeyError:
            raise AlignmentError(
                f"{label!r} is not a label of the phone set {self.name}; "
                f"use another phone set ({', '.join(PHONE_SETS)}) or correct the alignment"
            ) from None

    def require_labels(self, labels: Sequence[str], utterance_id: str) -> None:
        """Check the labels of an utterance.

        Raises:
            AlignmentError: naming the utterance and the first label that is not known to this set.
        """
        for position, label in enumerate(labels, start=1):
            if label not in self:
                raise AlignmentError(
                    f"{utterance_id}: segment {position} is {label!r}, not a label of the phone set {self.name}; "
                    "name the phone set of these labels, or correct the alignment"
                )

    def index(self, phone: str) -> int:
        """The integer label of a phone of the inventory.

        Raises:
            AlignmentError: if the inventory has no such phone.
        """
        try:
            return self.phones.index(phone)
        except ValueError:
            raise AlignmentError(f"{phone!r} is not one of the {len(self)} phones of {self.name}") from None

    def natural_class(self, phone: str) -> NaturalClass:
        """Manner of articulation of a phone of the inventory."""
        return self.classes[self.phones[self.index(phone)]][0]

    def is_voiced(self, phone: str) -> bool:
        """Whether a phone of the inventory is voiced."""
        return self.classes[self.phones[self.index(phone)]][1]


PHONE_SETS = ("timit-61", "timit-48", "timit-39", "arpabet-39", "arpabet-40")


@cache
def phone_set(name: str) -> PhoneSet:
    """A phone set by name.

    - ``timit-61``, ``timit-48``, ``timit-39``: TIMIT's labels and the two foldings of Lee & Hon (1989). 48 and 39
      delete ``q``.
    - ``arpabet-39``: CMUdict labels with or without stress, in upper or lower case, folded into the same 39 phones as
      ``timit-39`` (AO -> aa, ZH -> sh, silence -> sil), so that corpora can be compared; ``dx`` does not occur.
    - ``arpabet-40``: the 39 CMUdict phones unchanged, and ``sil``.

    The ARPAbet sets fold the silence of aligners (``sil``, ``sp``, an empty interval) into ``sil`` and delete ``spn``
    and other noise. The TIMIT sets delete empty intervals, because hand labels mark silence.

    Raises:
        ConfigurationError: if there is no such set.
    """
    words = _TIMIT.split()
    rows = [words[start : start + 4] for start in range(0, len(words), 4)]
    folding: dict[str, str | None]
    match name:
        case "timit-61" | "timit-48" | "timit-39":
            column = PHONE_SETS.index(name)
            folding = {row[0]: None if row[column] == "-" else row[column] for row in rows} | {"": None}
        case "arpabet-39":
            folding = _arpabet_folding({row[0]: row[2] for row in rows})
        case "arpabet-40":
            folding = _arpabet_folding({})
        case _:
            raise ConfigurationError(f"no phone set is called {name!r}; there are: {', '.join(PHONE_SETS)}")
    phones = {phone for phone in folding.values() if phone is not None}
    if name == "arpabet-39":
        phones.add("dx")
    if SILENCE in phones:
        folding[SILENCE] = SILENCE
    classes: dict[str, Any] = {row[0]: (row[3][:-1], row[3][-1] == "+") for row in rows}
    classes |= {SILENCE: ("silence", False), "cl": ("silence", False), "vcl": ("silence", True)}
    ordered = tuple(sorted(phones))
    kept = {phone: classes[phone] for phone in ordered}
    return PhoneSet(name, ordered, MappingProxyType(folding), MappingProxyType(kept))


def _arpabet_folding(merged: Mapping[str, str]) -> dict[str, str | None]:
    folding: dict[str, str | None] = dict.fromkeys(_ALIGNER_SILENCES, SILENCE)
    folding |= dict.fromkeys(_ALIGNER_NOISES)
    for phone in _ARPABET:
        target = merged.get(phone.lower(), phone.lower())
        for label in (phone, phone.lower()):
            folding[label] = target
            if phone[0] in "AEIOU":
                folding |= {label + stress: target for stress in "012"}
    return folding
