"""PyTorch's loss for `loss.py`: V, T, R, then each row's length. It needs torch alone.

Logits of the real tokens alone, `F.cross_entropy`, and the gradient in readouts, matrix
and bias.
"""

import sys

import contest
import torch
from torch.nn import functional


def main() -> None:
    """Forward and backward of one output layer and its loss."""
    vocabulary, steps, size, *lengths = map(int, sys.argv[1:])
    torch.manual_seed(0)
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    readout = torch.randn(*mask.shape, size).mul_(0.05).requires_grad_()
    layer = torch.nn.Linear(size, vocabulary)
    targets = torch.randint(vocabulary, mask.shape)

    def slopes() -> None:
        layer.zero_grad()
        readout.grad = None
        logits = layer(readout[mask])
        functional.cross_entropy(logits, targets[mask], reduction="sum").backward()

    contest.serve_torch(slopes)


if __name__ == "__main__":
    main()
