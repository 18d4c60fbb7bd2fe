"""PyTorch's layer for `cells.py`: cell, T, B, H. It needs torch alone."""

import sys

import contest
import torch


def main() -> None:
    """Forward and backward of one nn.LSTM or nn.GRU."""
    kind, steps, rows, size = sys.argv[1], *map(int, sys.argv[2:])
    torch.manual_seed(0)
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](size, size)
    inputs = torch.randn(steps, rows, size, requires_grad=True)

    def slopes() -> None:
        layer.zero_grad()
        inputs.grad = None
        layer(inputs)[0].sum().backward()

    contest.serve_torch(slopes)


if __name__ == "__main__":
    main()
