"""The fault test in short; the long form is `python tests/faults.py --kills 200`."""

import command_line
import pytest


@pytest.mark.slow
def test_killed_again_and_again_a_training_ends_as_if_it_had_not_been():
    said = command_line.script("faults.py", "--kills", 20)
    assert "20 kills" in said
    assert "each with the end of a run left in peace, bit for bit" in said
