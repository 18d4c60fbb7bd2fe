"""The decoders' equations in float64 NumPy: one row, one step at a time.

A step is `(params, config, annotations, state, y) -> (state, readout)`; a first state
is made by `(params, config, annotations, ends)`.
"""

import numpy as np
from reference import attend, bridge, cell_step, first_look, run_stack, run_upper
from reference_cells import sigmoid


def plain(params, config, annotations, state, y):
    """The top layer's output, of layers that read embeddings alone."""
    carry, outputs = run_stack(params, config, state["carry"], y)
    looked, _ = attend(
        params["attention"], config, outputs[-1], annotations, state["look"]
    )
    return state | {"carry": carry, "look": looked}, outputs[-1]


def luong(params, config, annotations, state, y, squash=np.tanh):
    """h_t -> a_t -> c_t -> h~_t, the readout and, with input feeding, the next feed."""
    x = np.r_[y, state["context"]] if config.input_feeding else y
    carry, outputs = run_stack(params, config, state["carry"], x)
    looked, context = attend(
        params["attention"], config, outputs[-1], annotations, state["look"]
    )
    vector = squash(np.r_[context, outputs[-1]] @ params["own"]["kernel"])
    return {"carry": carry, "context": vector, "look": looked}, vector


def luong_linear(params, config, annotations, state, y):
    """The attentional vector without its tanh."""
    return luong(params, config, annotations, state, y, squash=lambda x: x)


def luong_fed(params, config, annotations, state, y):
    """h_t is read out; it read what was looked at in the step before."""
    before = state["look"]["weights"]
    _, outputs = run_stack(params, config, state["carry"], np.r_[y, state["context"]])
    new, _ = luong_linear(params, config, annotations, state, y)
    new["read"] = before if "read" in state else np.zeros_like(before)
    return new, outputs[-1]


def see(params, config, annotations, state, y):
    """s_t -> a^t -> h*_t -> V [s_t ; h*_t] + b, and beside it what the gate reads."""
    before = state["context"]
    carry, outputs = run_stack(params, config, state["carry"], np.r_[y, before])
    looked, context = attend(
        params["attention"], config, outputs[-1], annotations, state["look"]
    )
    own, output = params["own"], outputs[-1]
    said = np.r_[output, context] @ own["kernel"] + own["bias"]
    readout = np.r_[said, output, context, before, y]
    return {"carry": carry, "context": context, "look": looked}, readout


def xu(params, config, annotations, state, y):
    """h_{t-1} -> a_t -> z_t, gated -> h_t -> tanh(E y + L_h h + L_z z)."""
    query, own = state["carry"][-1][-1], params["own"]
    looked, seen = attend(
        params["attention"], config, query, annotations, state["look"]
    )
    gate = sigmoid(query @ own["gate"]["kernel"][:, 0] + own["gate"]["bias"][0])
    z = np.array([gate * x for x in seen])
    carry, outputs = run_stack(params, config, state["carry"], np.r_[y, z])
    hidden = outputs[-1] @ own["output"]["kernel"] + own["output"]["bias"]
    readout = np.tanh(y + hidden + z @ own["context"])
    return {"carry": carry, "context": z, "look": looked}, readout


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


def bahdanau_appendix(params, config, annotations, state, y):
    """As Bahdanau's, but what is read out is s_{i-1}, the query."""
    new, _ = bahdanau(params, config, annotations, state, y)
    old = state["carry"][-1][-1]
    return new, maxout(params["own"], old, y, new["context"])


def bahdanau_groundhog(params, config, annotations, state, y):
    """GroundHog: the last word is read with the last context, then the state looks."""
    carry, seen = state["carry"], np.zeros(len(y))
    if state["look"]["time"] > 0:  # there is no word before the first one
        seen = y
        carry, _ = run_stack(params, config, carry, np.r_[y, state["context"]])
    query = carry[-1][-1]
    looked, context = attend(
        params["attention"], config, query, annotations, state["look"]
    )
    new = {"carry": carry, "context": context, "look": looked}
    return new, maxout(params["own"], query, seen, context)


def cho(params, config, annotations, state, y):
    """Every gate sees c; h~ = tanh(W e + r (U h + C c)); z keeps; a maxout readout."""
    layer, own = params["layers"][0], params["own"]
    (h,), c = state["carry"][0], state["context"]
    size = len(h)
    w, from_c = layer["input"][: len(y)], layer["input"][len(y) :]
    parts = []
    for number in range(3):
        cut = slice(number * size, (number + 1) * size)
        parts.append(
            (
                y @ w[:, cut] + layer["bias"][cut],
                h @ layer["recurrent"][:, cut] + c @ from_c[:, cut],
            )
        )
    r, z = (sigmoid(x + u) for x, u in parts[:2])
    x, u = parts[2]
    new = z * h + (1 - z) * np.tanh(x + r * u)
    new = config.zoneout * h + (1 - config.zoneout) * new
    looked, _ = attend(params["attention"], config, new, annotations, state["look"])
    kernel = np.r_[own["readout"]["kernel"], own["context"]]
    read = maxout({"kernel": kernel, "bias": own["readout"]["bias"]}, new, y, c)
    return {"carry": [(new,)], "context": c, "look": looked}, read


def cho_first(params, config, annotations, ends):
    """c = tanh(V h_T), h_0 = tanh(V' c)."""
    summary, first = params["own"]["summary"], params["own"]["first"]
    end = np.concatenate([carry[-1] for carry in ends[-1]])
    c = np.tanh(end @ summary["kernel"] + summary["bias"])
    h = np.tanh(c @ first["kernel"] + first["bias"])
    return {"carry": [(h,)], "context": c, "look": first_look(config, len(annotations))}


def gnmt(params, config, annotations, state, y, beside="previous"):
    """The bottom layer reads the last context and looks; those above read a context.

    Returns the new state and `[h^L ; the context that they read]`.
    """
    carry, last = state["carry"], state["context"]
    bottom = cell_step(params["layers"][0], config, carry[0], np.r_[y, last])
    looked, context = attend(
        params["attention"], config, bottom[-1], annotations, state["look"]
    )
    read = last if beside == "previous" else context
    above, outputs = run_upper(params, config, carry, bottom[-1], read)
    new = {"carry": [bottom, *above], "context": context, "look": looked}
    if beside == "previous":  # whose first context is 0: it looked nowhere
        before = state["look"]["weights"]
        new["read"] = before if "read" in state else np.zeros_like(before)
    return new, outputs[-1]


def gnmt_v2(params, config, annotations, state, y):
    """The layers above read this step's context."""
    return gnmt(params, config, annotations, state, y, beside="current")


def gnmt_paper(params, config, annotations, state, y):
    """The bottom layer's old output looks, then all layers read the new context."""
    carry = state["carry"]
    looked, context = attend(
        params["attention"], config, carry[0][-1], annotations, state["look"]
    )
    bottom = cell_step(params["layers"][0], config, carry[0], np.r_[y, context])
    above, outputs = run_upper(params, config, carry, bottom[-1], context)
    new = {"carry": [bottom, *above], "context": context, "look": looked}
    return new, outputs[-1]


def rnmt(params, config, annotations, state, y):
    """As gnmt_v2; the context predicts beside the top layer's output."""
    new, top = gnmt_v2(params, config, annotations, state, y)
    return new, np.r_[top, new["context"]]


def first_state(params, config, annotations, ends):
    """The decoder's state before the first step, but for what an entry makes itself."""
    size = config.decoder_hidden_size or config.hidden_size
    return {
        "carry": bridge(params["bridge"], config, ends, size),
        "context": np.zeros(size),
        "look": first_look(config, len(annotations)),
    }


def no_context(params, config, annotations, ends):
    """A first state whose context is as wide as an annotation."""
    state = first_state(params, config, annotations, ends)
    return state | {"context": np.zeros(annotations.shape[1])}


# Each entry: one step and its first state.
DECODERS = {
    "plain": (plain, first_state),
    "luong": (luong, first_state),
    "luong_linear": (luong_linear, first_state),
    "luong_fed": (luong_fed, first_state),
    "see": (see, no_context),
    "xu": (xu, first_state),
    "bahdanau": (bahdanau, first_state),
    "bahdanau_appendix": (bahdanau_appendix, first_state),
    "bahdanau_groundhog": (bahdanau_groundhog, first_state),
    "cho": (cho, cho_first),
    "gnmt": (gnmt, no_context),
    "gnmt_v2": (gnmt_v2, no_context),
    "gnmt_paper": (gnmt_paper, no_context),
    "rnmt": (rnmt, no_context),
}
