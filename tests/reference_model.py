"""A whole model in float64 NumPy: a row's logits and weights, a batch's loss."""

import math

import numpy as np
from reference import Annotations, encode, part_numbers
from reference_attention import softmax
from reference_cells import sigmoid
from reference_decoders import DECODERS
from reference_frontends import FRONTENDS
from small import NUMBERS

UNK = 3


def translate_row(params, config, source, target_in):
    """`(logits [T, V], weights [T, S])` of one row without padding."""
    target_table = params["target"]["table"]
    embedded = read(params, config, source)
    if config.sources > 1:
        annotations, ends = encode_parts(params, config, source, embedded)
    else:
        annotations, ends = encode(params["encoder"], config, embedded)
    step, start = DECODERS[config.decoder]
    state = start(params["decoder"], config, annotations, ends)
    tied = config.tied_embeddings in ("output", "all")
    kernel = target_table.T if tied else params["head"]["kernel"]
    logits, looked = [], []
    for token in target_in:
        y = target_table[token if token < len(target_table) else UNK]
        state, readout = step(params["decoder"], config, annotations, state, y)
        if config.output_rank:
            readout = readout @ params["decoder"]["output_factor"]
        looked.append(state.get("read", state["look"]["weights"]))
        said = readout[: len(kernel)] @ kernel + params["head"]["bias"]
        if config.head == "pointer":
            gate = readout @ params["head"]["gate"]["kernel"]
            gate = sigmoid(gate + params["head"]["gate"]["bias"])[0]
            said = copying(softmax(said), gate, looked[-1], source)
        logits.append(said)
    return np.array(logits), np.array(looked)


def encode_parts(params, config, source, embedded):
    """Each source by its own encoder; the mean of their last states, layer by layer."""
    numbers = part_numbers(source, config.sources)
    found, every = [], []
    for number, own in enumerate(params["encoder"]["sources"]):
        mine = [x for x, n in zip(embedded, numbers, strict=True) if n == number]
        if mine:
            annotations, ends = encode(own, config, mine)
            found += list(annotations)
        else:
            _, ends = encode(own, config, embedded)
            ends = [[tuple(0 * p for p in carry) for carry in layer] for layer in ends]
        every.append(ends)
    layers = range(len(every[0]))
    mean = [
        [
            tuple(np.mean([ends[i][d][p] for ends in every], axis=0) for p in range(n))
            for d, n in enumerate(map(len, every[0][i]))
        ]
        for i in layers
    ]
    return Annotations(np.array(found), numbers), mean


def read(params, config, source):
    """Vectors `[S, E]` of a source's ids, or of the numbers that stand for them."""
    # One table for both sides, or none to read sources with.
    own = params.get("source", params["target"])
    if config.frontend == "tokens":
        known = np.where(source < len(own["table"]), source, UNK)
        return own["table"][known]
    return FRONTENDS[config.frontend](own, NUMBERS[source].astype(np.float64))


def copying(words, gate, weights, source):
    """log P of each word, and of each position whose id is no word's; See, eq. 9.

    Behind them stands log P_vocab, which label smoothing reads.
    """
    total = sum(weights)
    gate = gate if total > 0 else 1.0
    p = [gate * word for word in words] + [0.0] * len(source)
    for place, token in enumerate(source):
        if total > 0:
            p[token] += (1 - gate) * weights[place] / total
    with np.errstate(divide="ignore"):
        return np.log(np.r_[p, words])


def pointer_loss(logs, target, smoothing, size):
    """`(loss, -log P)` of one position, from what `copying` gave."""
    p, words = logs[:-size], logs[-size:]
    nll = -p[target]
    return (1 - smoothing) * nll - smoothing * sum(words) / size, nll


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
            if config.head == "pointer":
                size = len(params["target"]["table"])
                totals += [*pointer_loss(at, target, smoothing, size), 1.0]
            else:
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
