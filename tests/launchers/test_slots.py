"""GPUs are shared out: each is taken once, waited for, and free again however its owner ended."""

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.errors import ConfigError
from fireact.slots import VISIBLE, before, count, named, need, take
from tests.helpers import ROOT

HOLD = """
import sys
from fireact.slots import take
with take(int(sys.argv[1]), [0, 1]) as taken:
    print(*taken.devices, flush=True)
    sys.stdin.read()
"""


def hold(wanted: int = 1) -> "subprocess.Popen[str]":
    """Another process, which holds GPUs until its standard input is closed."""
    return subprocess.Popen([sys.executable, "-c", HOLD, str(wanted)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)


def line(process: "subprocess.Popen[str]") -> str:
    """The next line that it prints."""
    assert process.stdout
    return process.stdout.readline().strip()


def test_ids_are_those_of_the_visible_gpus(devices: list[str]) -> None:
    assert named([2, 0]) == [devices[2], devices[0]]
    assert named("all") == devices
    assert named(None) == []
    assert [count("all"), count([0, 0, 1])] == [3, 3]


@pytest.mark.parametrize(("visible", "gpus", "sentence"), [
    ("4,5", [0, 2], r"gpus=\[0,2\] names GPU 2, and 2 are visible here \(CUDA_VISIBLE_DEVICES=4,5\), counted from 0"),
    ("", [0], "names GPU 0, and 0 are visible"),
    ("-1", "all", r"gpus=all, and no GPU is visible here; name those to be shared out, e.g. gpus=\[0,1\]"),
])
def test_gpus_that_are_not_there_are_refused(visible: str, gpus, sentence: str,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, visible)
    with pytest.raises(ConfigError, match=sentence):
        need(1, gpus)


def test_more_than_there_are_is_refused(devices: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"takes 2 GPUs \(train.processes, .*gpus=\[0,0\] names 1; name more"):
        need(2, [0, 0])
    need(0, [7])
    need(9, None)


def test_without_gpus_nothing_is_taken(devices: list[str]) -> None:
    for wanted, gpus in ((1, None), (0, [0])):
        with take(wanted, gpus) as taken:
            assert (taken.devices, taken.environment) == ((), {})


def test_each_is_taken_once_and_waited_for(devices: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with take(1, [0, 1]) as one, take(1, [0, 1]) as two:
        assert (one.devices, two.devices) == ((devices[0],), (devices[1],))
        other = hold()
        assert line(other) == f"waiting for a free GPU of {devices[0]},{devices[1]}"
    assert line(other) == devices[0]
    other.communicate("")


def test_one_that_is_named_twice_takes_two_stages(devices: list[str]) -> None:
    with take(1, [0, 0]) as one, take(1, [0, 0]) as two:
        assert one.devices == two.devices == (devices[0],)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_process_held_is_free(devices: list[str], blow: int) -> None:
    first = hold()
    assert line(first) == devices[0]
    first.send_signal(blow)
    first.wait()
    with take(1, [0]) as taken:
        assert taken.devices == (devices[0],)


def test_a_child_that_inherits_them_holds_them_until_it_ends(devices: list[str]) -> None:
    with take(1, [0]) as taken:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=taken.descriptors)
    other = hold()
    # The lowest that is free: the child has the first still, though its parent let go.
    assert line(other) == devices[1]
    child.communicate()
    with take(1, [0]) as taken:
        assert taken.devices == (devices[0],)
    other.communicate("")


def test_who_wants_several_comes_first_in_the_end(devices: list[str]) -> None:
    """It keeps what it gets while others ask for single ones again and again."""
    stop = threading.Event()

    def singles() -> None:
        while not stop.is_set():
            with take(1, [0, 1]):
                stop.wait(0.05)

    threads = [threading.Thread(target=singles, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    several = hold(2)
    said = line(several)
    while said.startswith("waiting"):
        assert said == f"waiting for 2 free GPUs of {devices[0]},{devices[1]}"
        said = line(several)
    assert set(said.split()) == {devices[0], devices[1]}
    stop.set()
    several.communicate("")
    for thread in threads:
        thread.join()


def test_nobody_waits_for_ever_and_none_is_held_twice(devices: list[str], tmp_path: Path) -> None:
    """Stages that want one, two or three at random, all at once."""
    failed: list[BaseException] = []

    def work(draw: random.Random) -> None:
        try:
            for _ in range(4):
                with take(draw.randint(1, 3), [0, 1, 2]) as taken:
                    for device in taken.devices:
                        (tmp_path / device).touch(exist_ok=False)
                    for device in taken.devices:
                        (tmp_path / device).unlink()
        except BaseException as failure:
            failed.append(failure)

    threads = [threading.Thread(target=work, args=(random.Random(seed),)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failed


names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="="), min_size=1)


@given(environment=st.dictionaries(names, names), seen=st.none() | st.just("") | names)
def test_what_outlives_a_stage_sees_what_its_run_saw(environment: dict[str, str], seen: str | None) -> None:
    from fireact.slots import Taken

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VISIBLE, raising=False)
        if seen is not None:
            patch.setenv(VISIBLE, seen)
            environment = {**environment, VISIBLE: seen}
        told = {**environment, **Taken(("GPU-1", "GPU-2")).environment}
        assert told[VISIBLE] == "GPU-1,GPU-2"
        assert before(told) == environment
        assert before(environment) == environment
