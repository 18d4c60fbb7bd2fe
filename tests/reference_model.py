"""A whole model in float64 NumPy: a row's logits and weights, a batch's loss."""

import math

import numpy as np
from reference import encode
from reference_attention import softmax
from reference_decoders import DECODERS


def translate_row(params, config, source, target_in):
    """`(logits [T, V], weights [T, S])` of one row without padding."""
    target_table = params["target"]["table"]
    # One table for both sides, or none to read sources with.
    source_table = params.get("source", params["target"])["table"]
    annotations, ends = encode(params["encoder"], config, source_table[source])
    step, start = DECODERS[config.decoder]
    state = start(params["decoder"], config, annotations, ends)
    tied = config.tied_embeddings in ("output", "all")
    kernel = target_table.T if tied else params["head"]["kernel"]
    logits, looked = [], []
    for token in target_in:
        state, readout = step(
            params["decoder"], config, annotations, state, target_table[token]
        )
        if config.output_rank:
            readout = readout @ params["decoder"]["output_factor"]
        logits.append(readout @ kernel + params["head"]["bias"])
        looked.append(state.get("read", state["look"]["weights"]))
    return np.array(logits), np.array(looked)


def cross_entropy(logits, target, smoothing):
    """`(-sum_v q_v log p_v, -log p_y)` of one position, q = (1 - u) onehot + u / V."""
    p = softmax(logits)
    loss = 0.0
    for v in range(len(p)):
        q = smoothing / len(p) + (1 - smoothing) * (v == target)
        loss -= q * math.log(p[v])
    return loss, -math.log(p[target])


def batch_loss(params, config, batch, smoothing):
    """`(loss, nll, weight)` summed over the real tokens of a batch."""
    totals = np.zeros(3)
    for source, target_in, target_out in real_rows(batch):
        logits, _ = translate_row(params, config, source, target_in)
        for at, target in zip(logits, target_out, strict=True):
            totals += [*cross_entropy(at, target, smoothing), 1.0]
    return totals


def real_rows(batch):
    """`(source, target_in, target_out)` of each row that has any, without padding."""
    for row in range(len(batch.source)):
        s = np.asarray(batch.source_mask[row])
        t = np.asarray(batch.target_mask[row])
        if s.any() and t.any():
            yield (
                batch.source[row][s],
                batch.target_in[row][t],
                batch.target_out[row][t],
            )
