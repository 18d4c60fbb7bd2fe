"""The benchmarks' opponent: the same model in PyTorch, as a careful user writes it.

Packed nn.LSTM in the encoder, all products that need no carry outside the time loop,
attention for all steps at once where there is no input feeding, the loss on real tokens
only, a fused Adam. It imports nothing of seq2seq_jax: it runs in an environment that
has torch and numpy.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import contest
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Model(nn.Module):
    """BiLSTM encoder; LSTM decoder with Luong's general attention."""

    def __init__(self, vocabulary: int, size: int, feeding: bool, dropout: float):
        super().__init__()
        self.feeding, self.dropout = feeding, dropout
        self.source = nn.Embedding(vocabulary, size)
        self.target = nn.Embedding(vocabulary, size)
        self.encoder = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        wide = 2 * size
        self.decoder = nn.LSTM(size, wide, batch_first=True)
        self.feed = nn.Linear(wide, 4 * wide, bias=False) if feeding else None
        self.keys = nn.Linear(wide, wide, bias=False)
        self.vector = nn.Linear(2 * wide, wide, bias=False)
        self.output = nn.Linear(wide, vocabulary)

    def drop(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout."""
        return functional.dropout(x, self.dropout, self.training)

    def attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask
    ) -> torch.Tensor:
        """Attentional vectors of queries `[B, T, H]`."""
        energies = torch.bmm(query, keys.transpose(1, 2))
        weights = energies.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
        context = torch.bmm(weights, values)
        return torch.tanh(self.vector(torch.cat([context, query], -1)))

    def fed(
        self, embedded: torch.Tensor, carry: tuple, keys, values, mask
    ) -> torch.Tensor:
        """Attentional vectors with input feeding, step by step."""
        lstm, (h, c) = self.decoder, carry
        bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
        projected = functional.linear(embedded, lstm.weight_ih_l0, bias)
        recurrent = torch.cat([self.feed.weight, lstm.weight_hh_l0], 1).t()
        vector, vectors = torch.zeros_like(h), []
        for now in projected.unbind(1):
            gates = torch.addmm(now, torch.cat([vector, h], -1), recurrent)
            i, f, g, o = gates.chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            vector = self.attend(h[:, None], keys, values, mask)[:, 0]
            vectors.append(vector)
        return torch.stack(vectors, 1)

    def forward(self, source, lengths, said, wanted, mask) -> torch.Tensor:
        """The mean loss of the real target tokens."""
        read = self.drop(self.source(source))
        packed = pack_padded_sequence(read, lengths, True, enforce_sorted=False)
        outputs, (h, c) = self.encoder(packed)
        values, _ = pad_packed_sequence(
            outputs, batch_first=True, total_length=source.shape[1]
        )
        keys, seen = self.keys(values), torch.arange(source.shape[1]) < lengths[:, None]
        h, c = (part.transpose(0, 1).flatten(1) for part in (h, c))
        embedded = self.drop(self.target(said))
        if self.feeding:
            vectors = self.fed(embedded, (h, c), keys, values, seen)
        else:
            states, _ = self.decoder(embedded, (h[None], c[None]))
            vectors = self.attend(states, keys, values, seen)
        logits = self.output(self.drop(vectors[mask]))
        return functional.cross_entropy(logits, wanted[mask], label_smoothing=0.1)


def batches(path: Path) -> Iterator[tuple[torch.Tensor, ...]]:
    """What `training.py` wrote, each batch cut to its longest sentences."""
    with np.load(path) as arrays:
        for number in range(int(arrays["count"])):
            source, seen, said, wanted, mask = (
                torch.from_numpy(arrays[f"{name}{number}"])
                for name in ("source", "seen", "said", "wanted", "mask")
            )
            lengths, longest = seen.sum(1), int(mask.sum(1).max())
            target = (x[:, :longest] for x in (said.long(), wanted.long(), mask))
            yield source[:, : int(lengths.max())].long(), lengths, *target


def stepper(model: Model, compiled: bool) -> Callable[[tuple], float]:
    """One update by one batch; its loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(model, dynamic=True) if compiled else model

    def update(batch: tuple) -> float:
        optimizer.zero_grad()
        loss = forward(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        return loss.item()

    return update


def main() -> None:
    """A contestant of `training.py`: batches file, vocabulary, size, flags."""
    path, vocabulary, size, *flags = sys.argv[1:]
    torch.manual_seed(1)
    model = Model(int(vocabulary), int(size), "feeding" in flags, 0.2)
    update, work = stepper(model, "compiled" in flags), list(batches(Path(path)))
    contest.serve_torch(lambda: [update(batch) for batch in work])


if __name__ == "__main__":
    main()
