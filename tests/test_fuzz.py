"""A few of the cases that `fuzz_workdirs.py` runs by the thousand."""

import fuzz_workdirs
import pytest


@pytest.mark.slow
def test_a_damaged_workdir_ends_in_the_same_output_or_in_one_line(tmp_path):
    stage = fuzz_workdirs.make(tmp_path / "stage")
    counts, failures = fuzz_workdirs.run(stage, cases=40, seed=1)
    assert not failures, "\n".join(failures)
    assert {end for *_, end in counts} == {"same", "older", "refused"}
