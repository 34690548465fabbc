"""Slow and obvious versions of what the package computes fast: the oracle of its tests. One section per measure."""

from __future__ import annotations

import numpy as np


def count_boundaries_slowly(references, predictions, tolerance, counting):
    """Components of one utterance by definition; times (s) on a 10 ms grid, compared as whole milliseconds."""
    references, predictions = ([round(1000 * t) for t in side] for side in (references, predictions))
    reach = round(1000 * tolerance)
    near = [[abs(r - p) <= reach for p in predictions] for r in references]
    if counting == "lenient":
        found, finders = sum(map(any, near)), sum(map(any, zip(*near, strict=True)))
    elif counting == "strict":
        found = finders = _largest_matching(near)
    else:
        found = 0
        for i, r in enumerate(references):
            # a region ends at the midpoint towards each neighbour; the midpoint itself belongs to the earlier one
            after = (references[i - 1] + r) / 2 if i else -np.inf
            until = (r + references[i + 1]) / 2 if i + 1 < len(references) else np.inf
            found += any(near[i][j] and after < p <= until for j, p in enumerate(predictions))
        finders = found
    return len(references), len(predictions), found, finders


def _largest_matching(near):
    """Size of the largest one-to-one matching by augmenting paths; near[i][j] tells who may be paired."""
    partner = {}

    def augment(i, seen):
        for j, allowed in enumerate(near[i]):
            if allowed and j not in seen:
                seen.add(j)
                if j not in partner or augment(partner[j], seen):
                    partner[j] = i
                    return True
        return False

    return sum(augment(i, set()) for i in range(len(near)))


def relation_map_slow(attention, labels, phones, upsampling_factor=1, leave_out_own_segment=False):
    """P' and P_U of one head and utterance by four plain loops over the up-sampled, re-normalised map (eq. 4).

    attention (T, T), labels (T * upsampling_factor,) with -1 for unlabelled; pairs without two labels do not count.
    """
    import numpy as np

    expanded = np.repeat(np.repeat(np.asarray(attention, float), upsampling_factor, 0), upsampling_factor, 1)
    expanded = expanded / expanded.sum(axis=1, keepdims=True)
    run = [0]
    for previous, following in zip(labels, labels[1:]):
        run.append(run[-1] + (previous != following))
    joint, uniform = np.zeros((phones, phones)), np.zeros((phones, phones))
    for q in range(len(expanded)):
        for k in range(len(expanded)):
            if labels[q] < 0 or labels[k] < 0 or (leave_out_own_segment and run[q] == run[k]):
                continue
            joint[labels[q], labels[k]] += expanded[q, k]
            uniform[labels[q], labels[k]] += 1
    return joint / joint.sum(), uniform / uniform.sum()
