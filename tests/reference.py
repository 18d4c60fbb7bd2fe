"""The papers' equations in float64 NumPy, one row and one step at a time.

Written from the equations, not from the package: plain loops, no masks (a row is cut to
its real length), each gate by itself. The parameter trees are the package's own.
"""

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


class Annotations(np.ndarray):
    """Annotations that know which source each is of."""

    def __new__(cls, values, numbers):
        made = np.asarray(values).view(cls)
        made.numbers = numbers
        return made

    def __array_finalize__(self, other):
        self.numbers = getattr(other, "numbers", None)


def part_numbers(source, count):
    """Which of `count` sources each token is of; each ends with an end marker."""
    numbers, number = [], 0
    for token in source:
        numbers.append(min(number, count - 1))
        number += token == 2
    return numbers


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
    if config.encoder == "none":
        width = config.hidden_size * (2 if config.bidirectional else 1)
        carry = tuple(np.zeros(width) for _ in range(PARTS.get(config.cell, 1)))
        return np.zeros((len(xs), width)), [[carry]]
    if config.encoder == "pyramid":
        xs, ends = pyramid(params, config, xs)
        if config.encoder_projection:
            p = params["projection"]
            xs = np.array([x @ p["kernel"] + p["bias"] for x in xs])
        return xs, ends
    if config.encoder == "positions":
        mean = sum(xs) / len(xs)
        if config.encoder_projection:
            p = params["projection"]
            xs = np.array([x @ p["kernel"] + p["bias"] for x in xs])
        return np.array(xs), [[(mean,) * PARTS.get(config.cell, 1)]]
    if config.reverse_source:
        xs = [*xs[-2::-1], xs[-1]]
    if config.encoder == "stacks":
        xs, ends = stacks(params, config, xs)
    else:
        xs, ends = run_layers(params, config, xs)
    if config.encoder_projection:
        p = params["projection"]
        xs = np.array([x @ p["kernel"] + p["bias"] for x in xs])
    if config.reverse_source:
        xs = np.array([*xs[-2::-1], xs[-1]])
    return xs, ends


def pyramid(params, config, xs):
    """Each layer above the first reads pairs of what the one below says."""
    ends = []
    for number, layer in enumerate(params["layers"]):
        if number:
            xs = [*xs, 0 * xs[0]] if len(xs) % 2 else list(xs)
            xs = [np.r_[a, b] for a, b in zip(xs[::2], xs[1::2], strict=True)]
        outputs, carry = run_direction(layer[0], config, xs)
        carries = [carry]
        if len(layer) == 2:
            backward, carry = run_direction(layer[1], config, xs[::-1])
            carries.append(carry)
            both = zip(outputs, backward[::-1], strict=True)
            outputs = [np.r_[one, other] for one, other in both]
        xs = outputs
        ends.append(carries)
    return np.array(xs), ends


def stacks(params, config, xs):
    """A stack over the source, another over its mirror image; joined at the top."""
    ahead, back = (
        {name: params[name][direction] for name in ("layers", "residuals")}
        for direction in range(2)
    )
    one, first = run_layers(ahead, config, xs)
    other, second = run_layers(back, config, xs[::-1])
    ends = [[*a, *b] for a, b in zip(first, second, strict=True)]
    return np.concatenate([one, other[::-1]], axis=1), ends


def run_layers(params, config, xs):
    """Outputs `[S, H]` of the top layer and the ends of all."""
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
            part: {name: of_head(leaf, head, heads) for name, leaf in leaves.items()}
            for part, leaves in params["heads"].items()
        }
        before = state["heads"][head]
        looked.append(one_head(mine, config, queries[head], values[head], before))
    states = [state for state, _ in looked]
    mean = {name: np.mean([s[name] for s in states], axis=0) for name in states[0]}
    return mean | {"heads": states}, np.concatenate([c for _, c in looked])


def of_head(leaf, head, heads):
    """A head's matrix or number, or its part of what all heads' vectors stand in."""
    if isinstance(leaf, list):
        return [of_head(one, head, heads) for one in leaf]
    return leaf[head] if len(leaf) == heads else np.split(leaf, heads)[head]


def one_head(params, config, query, annotations, state):
    """Energies, weights and the sum of the annotations that they weigh."""
    energies = SCORES[config.attention](
        params["score"], config, query, annotations, state
    )
    align = ALIGNMENTS[config.alignment]
    if config.attention == "location_code":  # are logarithms of weights
        weights = np.exp(energies)
    elif config.combination == "hierarchical":
        weights = hierarchical(params["combination"], energies, query, annotations)
    else:
        weights = align(params["alignment"], config, energies, query, state)
    context = sum(w * a for w, a in zip(weights, annotations, strict=True))
    after = {
        "weights": weights,
        "coverage": state["coverage"] + weights,
        "time": state["time"] + 1,
    }
    return after, context[:0] if config.attention == "none" else context


def hierarchical(params, energies, query, annotations):
    """Weights in each source, then over what was found in those that are not empty."""
    numbers = annotations.numbers
    weights, energy, kept = np.zeros(len(numbers)), [], []
    for number, kernel in enumerate(params["contexts"]):
        places = [s for s, n in enumerate(numbers) if n == number]
        if not places:
            continue
        weights[places] = softmax(np.array([energies[s] for s in places]))
        context = sum(weights[s] * np.asarray(annotations[s]) for s in places)
        squashed = np.tanh(query @ params["query"] + context @ kernel)
        energy.append(squashed @ params["score"])
        kept.append(places)
    for share, places in zip(softmax(np.array(energy)), kept, strict=True):
        weights[places] *= share
    return weights


def run_stack(params, config, carry, x):
    """One step of all decoder layers: `(carry, outputs of all layers)`."""
    bottom = cell_step(params["layers"][0], config, carry[0], x)
    above, outputs = run_upper(params, config, carry, bottom[-1])
    return [bottom, *above], outputs


def run_upper(params, config, carry, bottom, beside=()):
    """One step of the layers above the bottom one, from its output.

    `(carries, outputs of all layers)`; `beside` stands beside each layer's input.
    """
    new, outputs = [], [bottom]
    for number, layer in list(enumerate(params["layers"]))[1:]:
        x = np.r_[outputs[-1], beside]
        new.append(cell_step(layer, config, carry[number], x))
        gate = params["residuals"][number]
        outputs.append(residual(gate, config, number, outputs, new[-1][-1]))
    return new, outputs
