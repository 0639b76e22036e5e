"""What torch compiles learns the same. Compiling takes minutes, so this is run where it is asked for:

    FIREACT_COMPILE=1 python -m pytest tests/train/test_compile.py
"""

import os
import shutil

import pytest

from fireact.train import worker
from tests.train.conftest import MakeJob, read_metrics

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FIREACT_COMPILE"), reason="takes minutes: set FIREACT_COMPILE=1"),
    pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler"),
]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_losses_are_those_without_a_compiler(make_job: MakeJob, method: str) -> None:
    losses = []
    for name, compiled in (("plain", False), ("compiled", True)):
        job = make_job(name, method=method, compile=compiled, max_steps=2, batch_size=4)
        assert worker.main(["worker", str(job)]) == 0
        losses.append([line["loss"] for line in read_metrics(worker.read_job(job).out) if "loss" in line])
    assert len(losses[0]) == 2
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
