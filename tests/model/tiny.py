"""A tiny, randomly initialised Llama with a real byte-level tokenizer and a chat template, saved to a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHATML = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
TEXT = ["Thought: I need to search the capital of France.\nAction: search[capital of France]\n",
        "Observation: Paris is the capital of France, with 2,102,650 inhabitants.\n",
        "Question: Which country is larger, Norway or Sweden?\nAction: finish[Sweden]\n"] * 4
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tiny_tokenizer(template: str | None = CHATML, extra: Sequence[str] = ()) -> Any:
    """A byte-level BPE of a few hundred tokens; `extra` are more control tokens, the first of them the BOS token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|im_start|>", "<|im_end|>", *extra],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    raw.train_from_iterator(TEXT, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|im_end|>",
                                        bos_token=extra[0] if extra else "<|im_start|>", chat_template=template)
    tokenizer.clean_up_tokenization_spaces = False
    return tokenizer


def tiny_model(folder: Path, *, seed: int = 0, window: int = 512, hidden: int = 64) -> Path:
    """Save a model of two layers and grouped-query attention (4 heads, 2 of them for keys), with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden,
                         num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
                         max_position_embeddings=window, eos_token_id=tokenizer.eos_token_id,
                         bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_adapter(base: Path, folder: Path, *, seed: int = 0) -> Path:
    """Save a LoRA adapter for `base` with random, not zero, weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=MODULES, init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(str(folder))
    return folder
