"""Slow and obvious versions of what the package computes fast: the oracle of its tests. One section per measure."""

from __future__ import annotations

import itertools

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
    for previous, following in itertools.pairwise(labels):
        run.append(run[-1] + (previous != following))
    joint, uniform = np.zeros((phones, phones)), np.zeros((phones, phones))
    for q in range(len(expanded)):
        for k in range(len(expanded)):
            if labels[q] < 0 or labels[k] < 0 or (leave_out_own_segment and run[q] == run[k]):
                continue
            joint[labels[q], labels[k]] += expanded[q, k]
            uniform[labels[q], labels[k]] += 1
    return joint / joint.sum(), uniform / uniform.sum()


def head_metrics_slowly(maps):
    """Eq. 1-3 of Yang et al. 2020 and what goes with them, for one utterance, by loops over queries and keys.

    maps: (heads, T, T) attention. Returns a dict of lists over heads.
    """
    found = {name: [] for name in ("globalness", "verticality", "diagonality", "mean_offset", "spread", "max_weight")}
    for weights in np.asarray(maps, dtype=np.float64):
        length = len(weights)
        entropy = distance = offset = square = 0.0
        mean_row = np.zeros(length)
        for q in range(length):
            for k in range(length):
                weight = weights[q, k]
                entropy -= weight * np.log(weight) if weight > 0 else 0.0
                distance += abs(q - k) * weight
                offset += (k - q) * weight
                square += (k - q) ** 2 * weight
                mean_row[k] += weight / length
        found["globalness"].append(entropy / length)
        found["verticality"].append(sum(share * np.log(share) for share in mean_row if share > 0))
        found["diagonality"].append(-distance / length**2)
        found["mean_offset"].append(offset / length)
        found["spread"].append(np.sqrt(square / length - (offset / length) ** 2))
        found["max_weight"].append(weights.max())
    return found


def diagonal_sums_slowly(weights):
    """(heads, queries + keys - 1): each diagonal's sum, of key - query = -(queries - 1) ... keys - 1."""
    weights = np.asarray(weights)
    _, queries, keys = weights.shape
    return np.array([[np.trace(one, offset=offset) for offset in range(1 - queries, keys)] for one in weights])


def kernel_gram_curve_slow(features, alpha, beta, upsampling_factor=1):
    """Score curve of the up-sampled features by plain loops over frames: similarity, row threshold, runs,
    anti-diagonals.
    """
    features = np.repeat(np.asarray(features, float), upsampling_factor, axis=0)
    frames = len(features)
    similarity = np.zeros((frames, frames))
    for i in range(frames):
        for j in range(frames):
            similarity[i, j] = np.exp(-np.sqrt(((features[i] - features[j]) ** 2).sum()) / alpha)
    kept = np.zeros((frames, frames), int)
    for i in range(frames):
        threshold = beta * similarity[i].mean()
        for step, edge in ((1, frames), (-1, -1)):
            for j in range(i, edge, step):
                if not similarity[i, j] > threshold:
                    break
                kept[i, j] = 1
    curve = []
    for t in range(frames):
        reach = min(t, frames - 1 - t)
        curve.append(sum(kept[t - k, t + k] for k in range(-reach, reach + 1)))
    return np.array(curve)


def curve_minima_slow(curve):
    """Middles of the runs of equal values that have a higher value on both sides."""
    minima, start = [], 0
    for t in range(1, len(curve) + 1):
        if t == len(curve) or curve[t] != curve[start]:
            inside = start > 0 and t < len(curve)
            if inside and curve[start - 1] > curve[start] and curve[t] > curve[start]:
                minima.append((start + t - 1) / 2)
            start = t
    return np.array(minima)
