"""A merged model as a GGUF file, by llama.cpp's own converter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fireact.errors import ConfigError, DataError

SCRIPT = "convert_hf_to_gguf.py"


def find(given: Path | None) -> Path:
    """Return the converter: the one that is given, on PATH, or in $LLAMA_CPP. Raises ConfigError."""
    if given is not None:
        if not given.is_file():
            raise ConfigError(f"publish.converter={given} is no file; name llama.cpp's {SCRIPT}")
        return given
    on_path = shutil.which(SCRIPT)
    at_home = Path(os.environ.get("LLAMA_CPP") or "/nowhere") / SCRIPT
    if on_path is None and not at_home.is_file():
        raise ConfigError(f"publish.forms with gguf needs llama.cpp's {SCRIPT}, which is not on PATH; set "
                          f"publish.converter=.../{SCRIPT}, or LLAMA_CPP to the folder of llama.cpp")
    return Path(on_path) if on_path else at_home


def convert(converter: Path, model: Path, file: Path, kind: str) -> None:
    """Write the model in the folder `model` as `file`: all of it, or nothing. Raises DataError."""
    part = file.with_name(f".part-{file.name}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run([sys.executable, str(converter.resolve()), str(model), "--outfile", str(part),
                               "--outtype", kind], capture_output=True, text=True, errors="replace")
        if done.returncode or not _is_gguf(part):
            said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            last = ([line for line in done.stderr.splitlines() if line.strip()] or said or ["it said nothing"])[-1]
            raise DataError(f"{converter.name} ended with exit code {done.returncode} and made no GGUF file: "
                            f"{last.strip()}; its python packages are those of {sys.executable}")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _is_gguf(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"GGUF"
