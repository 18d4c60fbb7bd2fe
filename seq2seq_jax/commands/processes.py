"""The flags that make a training one of several processes."""

from typing import NamedTuple

from seq2seq_jax.errors import InputError

AUTO = "auto"


class Place(NamedTuple):
    """One process among others; None: found from the cluster.

    Attributes:
        address: host and port of process 0.
        processes: how many there are.
        number: this one's, from 0.
    """

    address: str | None
    processes: int | None
    number: int | None


def place(
    distributed: str | None, processes: int | None, process_index: int | None
) -> Place | None:
    """What the flags say; None where the process is to work alone.

    Raises:
        InputError: they do not fit together.

    >>> place("node1:1234", 2, 0)
    Place(address='node1:1234', processes=2, number=0)
    """
    given = {"--processes": processes, "--process-index": process_index}
    there = [name for name, value in given.items() if value is not None]
    if distributed is None:
        if there:
            raise InputError(
                f"{there[0]} is given without --distributed, expected --distributed "
                f"HOST:PORT of the first process with it"
            )
        return None
    if distributed == AUTO:
        if there:
            raise InputError(
                f"{there[0]} is given, but --distributed auto finds it from the "
                f"cluster: leave it out, or give --distributed HOST:PORT"
            )
        return Place(None, None, None)
    host, _, port = distributed.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InputError(
            f"--distributed is {distributed!r}, expected HOST:PORT of the first "
            f"process, such as node1:29500, or auto"
        )
    if processes is None or process_index is None:
        missing = ", ".join(name for name in given if name not in there)
        raise InputError(
            f"--distributed {distributed} needs {missing}: how many processes there "
            f"are, and this one's number, from 0"
        )
    if processes < 1:
        raise InputError(f"--processes is {processes}, expected 1 or more")
    if not 0 <= process_index < processes:
        raise InputError(
            f"--process-index is {process_index}, expected 0 to {processes - 1}, as "
            f"--processes is {processes}"
        )
    return Place(distributed, processes, process_index)
