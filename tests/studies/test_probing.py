"""Scores of probes and their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sat_probe.errors import CorpusError
from sat_probe.studies.probing.prepared import PARTS, ProbingCorpus
from sat_probe.studies.probing.probe import mean_score
from sat_probe.studies.probing.tasks import TASKS, chosen_tasks


def test_one_utterance_has_no_interval():
    score = mean_score("task", "accuracy", ("a", "b", "c"), np.array([1, 1, 1, 1]), np.array([1.0, 0.0, 1.0, 1.0]))
    assert (score.value, score.totals, score.counts) == (0.75, [3.0], [4])
    assert np.isnan([score.low, score.high]).all()


@pytest.mark.parametrize("part", PARTS)
def test_part_without_alignments_is_refused(part):
    phones = np.array([0, 1] * 6)
    corpus = ProbingCorpus(
        folder=Path(), batches=0, ids=tuple("abcdef"), speakers=np.array([0, 0, 0, 1, 1, 1]),
        speaker_names=("one", "two"), parts=np.array([0, 1, 2, 0, 1, 2]), lengths=np.full(6, 2), phones=phones,
        phone_names=("a", "b"),
    )  # fmt: skip
    assert chosen_tasks(None, corpus) == list(TASKS)
    phones[corpus.in_part(part)[corpus.frame_utterances]] = -1
    with pytest.raises(CorpusError, match=f"none of the 2 utterances of {part} has an alignment"):
        chosen_tasks(None, corpus)
    assert chosen_tasks(["speakers_frame"], corpus) == ["speakers_frame"]
