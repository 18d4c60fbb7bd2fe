"""The papers' equations in float64 NumPy, one row and one step at a time.

Written from the equations, not from the package: plain loops, no masks (a row is cut to
its real length), each gate by itself. The parameter trees are the package's own.
"""

import math

import numpy as np


def to_float64(params):
    """The same tree with float64 NumPy leaves."""
    if isinstance(params, dict):
        return {name: to_float64(value) for name, value in params.items()}
    if isinstance(params, (list, tuple)):
        return [to_float64(value) for value in params]
    return np.asarray(params, np.float64)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - np.max(x))
    return powers / np.sum(powers)


def gate(params, x, h, number, count):
    """W x + U h + b of gate `number` out of `count`."""
    size = params["recurrent"].shape[1] // count
    cut = slice(number * size, (number + 1) * size)
    w, u = params["input"][:, cut], params["recurrent"][:, cut]
    return x @ w + h @ u + params["bias"][cut]


def rnn(params, carry, x):
    """Elman 1990: h' = tanh(W x + U h + b)."""
    return (np.tanh(gate(params, x, carry[0], 0, 1)),)


def lstm(params, carry, x):
    """i, f, o = sigma(.), g = tanh(.); c' = f c + i g; h' = o tanh(c')."""
    c, h = carry
    i = sigmoid(gate(params, x, h, 0, 4))
    f = sigmoid(gate(params, x, h, 1, 4))
    g = np.tanh(gate(params, x, h, 2, 4))
    o = sigmoid(gate(params, x, h, 3, 4))
    c = f * c + i * g
    return c, o * np.tanh(c)


def gru(params, carry, x):
    """cuDNN's GRU: n = tanh(W x + b + r (U h + b')); h' = z h + (1 - z) n."""
    (h,) = carry
    size = len(h)
    r = sigmoid(gate(params, x, h, 0, 3))
    z = sigmoid(gate(params, x, h, 1, 3))
    from_x = x @ params["input"][:, 2 * size :] + params["bias"][2 * size :]
    from_h = h @ params["recurrent"][:, 2 * size :] + params["recurrent_bias"]
    return (z * h + (1 - z) * np.tanh(from_x + r * from_h),)


def gru_reset_before(params, carry, x):
    """Cho 2014: n = tanh(W x + U (r h)); h' = z h + (1 - z) n."""
    (h,) = carry
    r = sigmoid(gate(params, x, h, 0, 3))
    z = sigmoid(gate(params, x, h, 1, 3))
    return (z * h + (1 - z) * np.tanh(gate(params, x, r * h, 2, 3)),)


CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "gru_reset_before": gru_reset_before}


def zero_carry(cell, size):
    return tuple(np.zeros(size) for _ in range(2 if cell == "lstm" else 1))


def run_direction(params, cell, xs):
    """`(outputs, last carry)` of one cell over the rows of xs, first to last."""
    carry = zero_carry(cell, params["recurrent"].shape[0])
    outputs = []
    for x in xs:
        carry = CELLS[cell](params, carry, x)
        outputs.append(carry[-1])
    return outputs, carry


def encode(params, config, xs):
    """`(annotations [S, C], ends)`; ends by layer: the carry, directions joined."""
    ends = []
    for number, layer in enumerate(params):
        outputs, carry = run_direction(layer[0], config.cell, xs)
        if config.bidirectional:
            backward, carry_b = run_direction(layer[1], config.cell, xs[::-1])
            outputs = [
                np.r_[f, b] for f, b in zip(outputs, backward[::-1], strict=True)
            ]
            carry = tuple(np.r_[f, b] for f, b in zip(carry, carry_b, strict=True))
        if config.residual and number > 0:
            outputs = [o + x for o, x in zip(outputs, xs, strict=True)]
        xs = np.array(outputs)
        ends.append(carry)
    return xs, ends


def bridge(params, config, ends, size):
    """The decoder's first carry, by layer; layers are matched from the top."""
    first = []
    for layer in range(config.decoder_layers):
        from_top = config.decoder_layers - 1 - layer
        end = ends[max(len(ends) - 1 - from_top, 0)]
        if config.bridge == "zero":
            end = zero_carry(config.cell, size)
        elif config.bridge == "dense":
            end = tuple(
                np.tanh(part @ p["kernel"] + p["bias"])
                for part, p in zip(end, params[layer], strict=True)
            )
        first.append(end)
    return first


def energy(params, kind, query, annotation):
    """Luong 2015, eq. 8, and Bahdanau 2014, A.1.2, for one query and one annotation."""
    if kind == "none":
        return 0.0
    if kind == "dot":
        return query @ annotation
    if kind == "general":
        return query @ (annotation @ params["kernel"])
    inner = query @ params["query"] + annotation @ params["kernel"]
    return params["v"] @ np.tanh(inner)


def attend(params, kind, query, annotations):
    """`(weights [S], context [C])`; without attention the context has no elements."""
    weights = softmax(np.array([energy(params, kind, query, a) for a in annotations]))
    context = sum(w * a for w, a in zip(weights, annotations, strict=True))
    return weights, context[:0] if kind == "none" else context


def run_stack(params, config, carry, x):
    """One step of all decoder layers: `(carry, top output)`."""
    new = []
    for number, layer in enumerate(params["layers"]):
        new.append(CELLS[config.cell](layer, carry[number], x))
        output = new[-1][-1]
        x = output + x if config.residual and number > 0 else output
    return new, x


def luong_step(params, config, annotations, carry, fed, y):
    """h_t -> a_t -> c_t -> h~_t, the readout and, with input feeding, the next feed."""
    x = np.r_[y, fed] if config.input_feeding else y
    carry, output = run_stack(params, config, carry, x)
    weights, context = attend(
        params["attention"], config.attention, output, annotations
    )
    vector = np.tanh(np.r_[context, output] @ params["own"]["kernel"])
    return carry, vector, weights, vector


def bahdanau_step(params, config, annotations, carry, fed, y):
    """e_ij from s_{i-1} -> c_i -> s_i -> maxout readout over neighbouring pairs."""
    query = carry[-1][-1]
    weights, context = attend(params["attention"], config.attention, query, annotations)
    carry, output = run_stack(params, config, carry, np.r_[y, context])
    own = params["own"]
    wide = np.r_[output, y, context] @ own["kernel"] + own["bias"]
    readout = np.array([max(a, b) for a, b in zip(wide[::2], wide[1::2], strict=True)])
    return carry, fed, weights, readout


def translate_row(params, config, source, target_in):
    """`(logits [T, V], weights [T, S])` of one row without padding."""
    shared = config.tied_embeddings == "all"
    source_table = params["target" if shared else "source"]["table"]
    target_table = params["target"]["table"]
    annotations, ends = encode(params["encoder"], config, source_table[source])
    size = config.decoder_hidden_size or config.hidden_size
    carry = bridge(params["decoder"]["bridge"], config, ends, size)
    step = luong_step if config.decoder == "luong" else bahdanau_step
    tied = config.tied_embeddings != "none"
    kernel = target_table.T if tied else params["head"]["kernel"]
    fed, logits, looked = np.zeros(size), [], []
    for token in target_in:
        carry, fed, weights, readout = step(
            params["decoder"], config, annotations, carry, fed, target_table[token]
        )
        logits.append(readout @ kernel + params["head"]["bias"])
        looked.append(weights)
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
