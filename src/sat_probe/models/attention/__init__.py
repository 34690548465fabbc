"""Attention that can be observed: computed block by block, shown to observers, and forgotten.

::

                    keys 0 ... T        one block of queries, one group of heads
                 +------+------+------+
    queries      | tile | tile | tile |   scores of a tile fit a core's own cache
    0 ... 127    +------+------+------+
                    |      |      |
                    v      v      v
                  max, 2 ** (score - max), its sum, and the sum of 2 ** (...) * (...)    per row and tile
                    |      |      |
                    +------+------+-----> softmax over the tiles: factor, entropy, maximum of each row
                                             |
                 observers  <--- block ------+------> output = sum over tiles of (exp scores @ values) * factor

The reference is ``weights = softmax(query @ key.T)``, ``output = weights @ value``. The maps (heads, T, T) of a
minute of audio are hundreds of megabytes per layer, and reading and writing them costs more time than the arithmetic.
So the maps never exist: a block of queries is scored against all keys, tile by tile, and everything that anyone asks
for is computed from what is in the cache.

- ``interface.py`` registers the function that transformers calls for a layer (`attention_forward`) and attaches an
  :class:`~sat_probe.models.attention.probe.AttentionProbe` to the attention modules of one pass.
- ``probe.py`` says what a pass does (observers, head mask, span, maps) and what an observer sees (`AttentionBlock`).
- ``blocks.py`` chooses: PyTorch's fused attention if nobody observes, a differentiable whole map if gradients are
  needed (``whole.py``), a band around the diagonal for a span before the softmax (``band.py``), else tiles.
- ``inputs.py`` cuts one utterance out of the batch, ``keys.py`` cuts its keys into tiles and fills them, and
  ``tiles.py`` makes the softmax of them.

How the tiles work: scores are kept in base 2, since ``exp`` is slow where it underflows. A tile keeps
``2 ** (score - highest score of the row in this tile)``. The softmax only needs the highest score and the sum of each
row over all tiles; from these follows one factor per row and tile that turns the kept numbers into weights. Instead of
multiplying the large tile by it, the small results are multiplied: the output, sums over queries, sums along
diagonals. The entropy of a row comes from the same pass, as ``log Z - log 2 * sum(2^s' s') / Z`` with
``s' = score - highest`` and ``Z = sum(2^s')``. Sums over offsets (key - query) read the tile along its diagonals: the
memory is laid out so that one step more per row walks down a diagonal.

Observers ask for sums and get them in this form; `AttentionBlock.weights` makes the true weights for those that ask.
A block with more than ``_KEPT_ELEMENTS`` numbers leaves all caches, so there the scores are computed a second time
instead of being kept. Sizes are constants of ``blocks.py``, measured on a CPU. Head masks and ``span_mode="zero"`` act
after the softmax and are never seen by observers.
"""
