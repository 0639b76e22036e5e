"""A run and the next one play by one server, and both leave the records that a run in one process leaves."""

import json
from pathlib import Path

from fireact.serving.lease import alive
from tests.conftest import Main
from tests.serving.servers import COMMAND, end_all, folder, wait


def test_runs_share_a_server_and_play_as_in_one_process(run_main: Main, tiny_options: Path, store: Path,
                                                        tmp_path: Path) -> None:
    shared = ["--config-dir", str(tiny_options), "model=tiny_a", "stage=evaluate", "evaluate.finetuned=false",
              "evaluate.n=2", "strategy.max_rounds=2", "tape.mode=off"]
    on_server = ["model.engine=vllm", f"model.serving.command=[{','.join(COMMAND)}]", "model.serving.idle=600"]
    home = (store / "home").resolve()
    try:
        texts = []
        for options in (["seed=0", *on_server], ["seed=1", *on_server], ["seed=0"]):
            done = run_main(*shared, *options)
            assert done.returncode == 0, done.stderr
            records = next((tmp_path / "run").glob("episodes-*.jsonl")).read_text().splitlines()
            texts.append([[step["text"] for step in json.loads(record)["steps"]] for record in records])
            assert len(texts[-1]) == 2
        assert texts[0] == texts[1] == texts[2]
        assert (folder(home).path / "supervisor.log").read_text().count("started the engine") == 1
    finally:
        end_all(home)
    wait(lambda: not alive(folder(home)))
