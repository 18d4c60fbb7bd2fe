"""The papers' equations in float64 NumPy, one row and one step at a time.

Written from the equations, not from the package: plain loops, no masks (a row is cut to
its real length), each gate by itself. The parameter trees are the package's own.
"""

import math

import numpy as np
from reference_attention import ALIGNMENTS, SCORES, softmax
from reference_cells import CELLS, PARTS, sigmoid


def to_float64(params):
    """The same tree with float64 NumPy leaves."""
    if isinstance(params, dict):
        return {name: to_float64(value) for name, value in params.items()}
    if isinstance(params, (list, tuple)):
        return [to_float64(value) for value in params]
    return np.asarray(params, np.float64)


def cell_step(params, config, carry, x):
    """One step: `carry`; at inference zoneout is a mixture with the old one."""
    new = CELLS[config.cell](params, carry, x)
    keep = config.zoneout
    return tuple(keep * o + (1 - keep) * n for o, n in zip(carry, new, strict=True))


def run_direction(params, config, xs):
    """`(outputs, last carry)` of one cell over the rows of xs, first to last."""
    parts = PARTS.get(config.cell, 1)
    carry = tuple(np.zeros(config.hidden_size) for _ in range(parts))
    outputs = []
    for x in xs:
        carry = cell_step(params, config, carry, x)
        outputs.append(carry[-1])
    return outputs, carry


def encode(params, config, xs):
    """`(annotations [S, C], ends)`; ends by layer: a carry for each direction."""
    if config.reverse_source:
        xs = [*xs[-2::-1], xs[-1]]
    ends, below = [], []
    for number, layer in enumerate(params["layers"]):
        below.append(xs)
        outputs, carry = run_direction(layer[0], config, xs)
        carries = [carry]
        if len(layer) == 2:
            backward, carry = run_direction(layer[1], config, xs[::-1])
            carries.append(carry)
            outputs = [
                np.r_[f, b] for f, b in zip(outputs, backward[::-1], strict=True)
            ]
        xs = np.array(
            [
                residual(params["residuals"][number], config, number, seen, output)
                for seen, output in zip(zip(*below, strict=True), outputs, strict=True)
            ]
        )
        ends.append(carries)
    if config.encoder_projection:
        p = params["projection"]
        xs = np.array([x @ p["kernel"] + p["bias"] for x in xs])
    if config.reverse_source:
        xs = np.array([*xs[-2::-1], xs[-1]])
    return xs, ends


def residual(params, config, number, below, output):
    """A layer's output with its residual connection; `below`: inputs, bottom first."""
    wanted = config.residual != "none" and number + 1 >= config.residual_from
    if not wanted or len(below[-1]) != len(output):
        return output
    if config.residual == "add":
        return output + below[-1]
    if config.residual == "dense":
        return output + sum(x for x in below if len(x) == len(output))
    gate = sigmoid(below[-1] @ params["kernel"] + params["bias"])
    return gate * output + (1 - gate) * below[-1]


def bridge(params, config, ends, size):
    """The decoder's first carry, by layer; layers are matched from the top."""
    first = []
    directions = [carry for layer in ends for carry in layer]
    for layer in range(config.decoder_layers):
        from_top = config.decoder_layers - 1 - layer
        end = ends[max(len(ends) - 1 - from_top, 0)]
        whole = tuple(np.concatenate(parts) for parts in zip(*end, strict=True))
        if config.bridge == "zero":
            first.append(tuple(np.zeros(size) for _ in whole))
        elif config.bridge == "pass":
            first.append(whole)
        elif config.bridge == "each_direction":
            first.append(directions[max(len(directions) - 1 - from_top, 0)])
        else:
            seen = whole if config.bridge == "dense" else end[-1]
            first.append(
                tuple(
                    np.tanh(part @ p["kernel"] + p["bias"])
                    for part, p in zip(seen, params[layer], strict=True)
                )
            )
    return first


def first_look(config, source_length):
    """The attention state before the first step."""
    nothing = np.zeros(source_length)
    state = {"weights": nothing, "coverage": nothing, "time": 0}
    heads = config.attention_heads
    return state | {"heads": [state] * heads} if heads > 1 else state


def attend(params, config, query, annotations, state):
    """`(state, context [C])`; without attention the context has no elements."""
    heads = config.attention_heads
    if heads == 1:
        return one_head(params, config, query, annotations, state)
    queries = np.split(query @ params["query"], heads)
    values = np.split(annotations @ params["values"], heads, axis=1)
    looked = []
    for head in range(heads):
        mine = {
            part: {name: leaf[head] for name, leaf in leaves.items()}
            for part, leaves in params["heads"].items()
        }
        before = state["heads"][head]
        looked.append(one_head(mine, config, queries[head], values[head], before))
    states = [state for state, _ in looked]
    mean = {name: np.mean([s[name] for s in states], axis=0) for name in states[0]}
    return mean | {"heads": states}, np.concatenate([c for _, c in looked])


def one_head(params, config, query, annotations, state):
    """Energies, weights and the sum of the annotations that they weigh."""
    energies = SCORES[config.attention](
        params["score"], config, query, annotations, state
    )
    weights = ALIGNMENTS[config.alignment](
        params["alignment"], config, energies, query, state
    )
    context = sum(w * a for w, a in zip(weights, annotations, strict=True))
    after = {
        "weights": weights,
        "coverage": state["coverage"] + weights,
        "time": state["time"] + 1,
    }
    return after, context[:0] if config.attention == "none" else context


def run_stack(params, config, carry, x, beside=None):
    """One step of all decoder layers: `(carry, outputs of all layers)`.

    `beside` stands beside the input of the layers above the bottom one.
    """
    new, outputs = [], []
    for number, layer in enumerate(params["layers"]):
        extra = beside if number > 0 and beside is not None else np.zeros(0)
        new.append(cell_step(layer, config, carry[number], np.r_[x, extra]))
        output = new[-1][-1]
        if number > 0:
            gate = params["residuals"][number]
            output = residual(gate, config, number, outputs, output)
        outputs.append(output)
        x = output
    return new, outputs


def luong(params, config, annotations, state, y):
    """h_t -> a_t -> c_t -> h~_t, the readout and, with input feeding, the next feed."""
    x = np.r_[y, state["context"]] if config.input_feeding else y
    carry, outputs = run_stack(params, config, state["carry"], x)
    looked, context = attend(
        params["attention"], config, outputs[-1], annotations, state["look"]
    )
    vector = np.tanh(np.r_[context, outputs[-1]] @ params["own"]["kernel"])
    return {"carry": carry, "context": vector, "look": looked}, vector


def bahdanau(params, config, annotations, state, y):
    """e_ij from s_{i-1} -> c_i -> s_i -> maxout readout over neighbouring pairs."""
    query = state["carry"][-1][-1]
    looked, context = attend(
        params["attention"], config, query, annotations, state["look"]
    )
    carry, outputs = run_stack(params, config, state["carry"], np.r_[y, context])
    readout = maxout(params["own"], outputs[-1], y, context)
    return {"carry": carry, "context": context, "look": looked}, readout


def maxout(own, output, y, context):
    """The larger one of each two neighbours of U s + V y + C c + b."""
    wide = np.r_[output, y, context] @ own["kernel"] + own["bias"]
    return np.array([max(a, b) for a, b in zip(wide[::2], wide[1::2], strict=True)])


def first_state(params, config, annotations, ends):
    """The decoder's state before the first step, but for what an entry makes itself."""
    size = config.decoder_hidden_size or config.hidden_size
    return {
        "carry": bridge(params["bridge"], config, ends, size),
        "context": np.zeros(size),
        "look": first_look(config, len(annotations)),
    }


# Each entry: one step, `(params, config, annotations, state, y) -> (state, readout)`,
# and its first state.
DECODERS = {"luong": (luong, first_state), "bahdanau": (bahdanau, first_state)}


def translate_row(params, config, source, target_in):
    """`(logits [T, V], weights [T, S])` of one row without padding."""
    shared = config.tied_embeddings == "all"
    source_table = params["target" if shared else "source"]["table"]
    target_table = params["target"]["table"]
    annotations, ends = encode(params["encoder"], config, source_table[source])
    step, start = DECODERS[config.decoder]
    state = start(params["decoder"], config, annotations, ends)
    tied = config.tied_embeddings != "none"
    kernel = target_table.T if tied else params["head"]["kernel"]
    logits, looked = [], []
    for token in target_in:
        state, readout = step(
            params["decoder"], config, annotations, state, target_table[token]
        )
        if config.output_rank:
            readout = readout @ params["decoder"]["output_factor"]
        logits.append(readout @ kernel + params["head"]["bias"])
        looked.append(state["look"]["weights"])
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
