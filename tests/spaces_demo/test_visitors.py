"""Several visitors at once: everyone gets the numbers of their own recording. How fast is for benchmarks/demo.py."""

from __future__ import annotations

from benchmarks.demo import visit


def test_nobody_gets_the_answer_of_another(explorer):
    visits = visit(explorer, users=8, seconds=3.0, clip_seconds=0.5)
    assert not visits.failures
    assert visits.mixed_up == 0
    assert len(visits.seconds) >= 8
