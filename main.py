"""Compose a configuration, check it, run it.

    python main.py                                         the default: generate, curate, train, evaluate, report
    python main.py experiment=quick                        the same in under three minutes
    python main.py stage=evaluate evaluate.n=200           one stage
    python main.py -m model=llama2_7b,codellama_13b strategy=react,reflexion     a sweep of four cells

No torch here: stages run in processes of their own, and start-up stays under a second.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

# Hydra then raises what goes wrong, in place of printing it its own way; fireact/explain.py has shorter words for it.
os.environ["HYDRA_FULL_ERROR"] = "1"
OmegaConf.register_new_resolver("short_id", lambda: secrets.token_hex(2), use_cache=True)


def _gpu_slots(gpus: Any) -> int:
    from fireact.slots import count

    return count(gpus)


OmegaConf.register_new_resolver("gpu_slots", _gpu_slots)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def job(cfg: DictConfig) -> None:
    """Run one configuration, or one cell of a sweep, whose failure does not keep the other cells from running."""
    from fireact.command import launched
    from fireact.launch import run
    from fireact.process import INTERRUPTED, ChildFailed, attempt
    from fireact.schema import typed

    options = HydraConfig.get()
    if options.mode is RunMode.MULTIRUN:
        print(f"\n[{options.job.num}] {' '.join(options.overrides.task)}", flush=True)
    failure = attempt(lambda: run(typed(cfg), Path(options.runtime.output_dir), OmegaConf.to_yaml(cfg, resolve=True)))
    # In a process of a launcher's a cell that is ended is a cell that failed.
    if failure and not launched() and (failure.code == INTERRUPTED or options.mode is RunMode.RUN):
        raise SystemExit(failure.code)
    if failure:
        raise ChildFailed(failure.code, failure.sentence)


def main() -> int:
    """Return the exit code: 0 done, 2 bad input or a fault with a sentence, 130 interrupted."""
    import signal

    from fireact.command import announce
    from fireact.explain import compose
    from fireact.process import guard, listen, stop_on_sigterm

    announce()
    stop_on_sigterm()
    listen(signal.SIG_IGN)
    return guard(lambda: compose(job))


if __name__ == "__main__":
    sys.exit(main())
