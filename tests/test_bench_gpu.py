"""The GPU's benchmark on a CPU: it runs to the end on a tiny shape, and its sums are right."""

import argparse
from pathlib import Path

import pytest

from bench import gpu


def test_a_tiny_shape_is_trained_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fireact.train import lora

    monkeypatch.setattr(lora, "load_base", lora.load_base)
    options = argparse.Namespace(shape="tiny", device="cpu", tokens=64, steps=2, bits=None, liger=False, compile=False,
                                 recompute=True)
    found = gpu.ours(options, tmp_path)
    assert found["tokens_per_second"] > 0
    assert "mfu" not in found


def test_a_step_is_filled_with_sequences_of_the_usual_lengths() -> None:
    batches = gpu.made_up("7b", 3, 2048)
    assert len(batches) == 3
    for batch in batches:
        assert 2048 - 150 < sum(len(example.ids) for example in batch) <= 2048
        assert all(150 <= len(example.ids) <= 900 for example in batch)


def test_flops_of_llama_2_7b() -> None:
    """6.6 billion weights in matrices, and 4 or 6 FLOPs for each and token; attention adds little at these lengths."""
    batch = gpu.made_up("7b", 1, 2048)[0]
    tokens = sum(len(example.ids) for example in batch)
    lora, whole = gpu.flops("7b", batch)
    assert lora / tokens == pytest.approx(4 * 6.607e9, rel=0.03)
    assert whole / tokens == pytest.approx(6 * 6.607e9, rel=0.03)


@pytest.mark.parametrize(("name", "flops"), [("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12),
                                             ("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12),
                                             ("GeForce RTX 4090", None)])
def test_peaks_are_found_by_the_devices_name(name: str, flops: float | None) -> None:
    assert gpu.peak(name) == flops


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main() == 2
    assert "needs an NVIDIA GPU" in capsys.readouterr().err


def test_a_ratio_is_of_the_best_of_both() -> None:
    found = gpu.summary({"fireact/1": {"tokens_per_second": 3.0, "mfu": 0.5}, "fireact/2": {"failed": "no"},
                         "trl+liger/1": {"tokens_per_second": 2.0}})
    assert found["best"] == {"tokens_per_second": 3.0, "mfu": 0.5, "trl_tokens_per_second": 2.0, "ratio_to_trl": 1.5}
