"""Models of Hugging Face's `transformers`, from small configurations with random weights: what people train, in a size that
is recorded in a second. Nothing is fetched.

Each `build(dtype, size)` returns a `Subject`. All numbers come from `torch.manual_seed(SEED)`, so two builds are equal to
the last bit; the caller's random state is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported

Tensor = torch.Tensor
SEED = 0
BATCH = 2


@dataclass(frozen=True)
class Size:
    """Words known, words in a sentence, features (a multiple of 16), and pixels to a side (a multiple of 8)."""

    words: int
    length: int
    width: int
    pixels: int


TINY = Size(words=48, length=6, width=16, pixels=16)
SMALL = Size(words=512, length=32, width=64, pixels=32)


@dataclass(frozen=True)
class Subject:
    """A model, and the batch that it is called with; its output holds its own loss."""

    model: nn.Module
    inputs: Mapping[str, Tensor]
    optimizer: torch.optim.Optimizer

    def step(self) -> None:
        """Forward, backward, update."""
        self.optimizer.zero_grad()
        self.model(**self.inputs).loss.backward()
        self.optimizer.step()


def gpt2(dtype: torch.dtype = torch.float32, size: Size = TINY) -> Subject:
    """A decoder: learned positions, GELU by tanh, dropout."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=size.words,
        n_positions=size.length,
        n_embd=size.width,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _subject(lambda: GPT2LMHeadModel(config), dtype, lambda: _text(size, causal=True))


def llama(dtype: torch.dtype = torch.float32, size: Size = TINY) -> Subject:
    """A decoder: rotary positions, RMS norm, gated SiLU, fewer heads of keys than of queries."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=size.words, hidden_size=size.width, intermediate_size=size.width * 3 // 2, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=size.length,
    )  # fmt: skip
    return _subject(lambda: LlamaForCausalLM(config), dtype, lambda: _text(size, causal=True))


def bert(dtype: torch.dtype = torch.float32, size: Size = TINY) -> Subject:
    """An encoder, on sentences of different lengths."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=size.words, hidden_size=size.width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * size.width, max_position_embeddings=size.length,
    )  # fmt: skip

    def batch() -> dict[str, Tensor]:
        mask = torch.ones(BATCH, size.length, dtype=torch.int64)
        mask[1, size.length - 2 :] = 0
        return {**_text(size), "attention_mask": mask}

    return _subject(lambda: BertForMaskedLM(config), dtype, batch)


def t5(dtype: torch.dtype = torch.float32, size: Size = TINY) -> Subject:
    """An encoder and a decoder: relative positions, attention across."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=size.words, d_model=size.width, d_kv=size.width // 2, d_ff=size.width * 3 // 2, num_layers=2,
        num_decoder_layers=2, num_heads=2,
    )  # fmt: skip
    config.decoder_start_token_id = 0
    return _subject(lambda: T5ForConditionalGeneration(config), dtype, lambda: _text(size))


def vit(dtype: torch.dtype = torch.float32, size: Size = TINY) -> Subject:
    """A transformer on the patches of an image."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=size.width, num_hidden_layers=2, num_attention_heads=2, intermediate_size=2 * size.width,
        image_size=size.pixels, patch_size=8, num_channels=3,
    )  # fmt: skip
    config.num_labels = 5

    def batch() -> dict[str, Tensor]:
        return {
            "pixel_values": torch.randn(BATCH, 3, size.pixels, size.pixels).to(dtype),
            "labels": torch.randint(0, 5, (BATCH,)),
        }

    return _subject(lambda: ViTForImageClassification(config), dtype, batch)


def mamba(dtype: torch.dtype = torch.float32, size: Size = TINY) -> Subject:
    """A state-space model; its scan runs as torch ops, as it does without the CUDA kernels."""
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(
        vocab_size=size.words, hidden_size=size.width, state_size=4, num_hidden_layers=2, conv_kernel=3, time_step_rank=4,
        pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return _subject(lambda: MambaForCausalLM(config), dtype, lambda: _text(size, causal=True))


MODELS: Mapping[str, Callable[[torch.dtype, Size], Subject]] = {
    "GPT-2": gpt2, "Llama": llama, "BERT": bert, "T5": t5, "ViT": vit, "Mamba": mamba,
}  # fmt: skip


@contextmanager
def quiet() -> Generator[None]:
    """`transformers` says nothing: it logs what it has no faster kernel for, and how it guesses a loss."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _text(size: Size, causal: bool = False) -> dict[str, Tensor]:
    """Words; what is to be said is the words themselves (the model shifts them by one), or others."""
    words = torch.randint(1, size.words, (BATCH, size.length))
    return {
        "input_ids": words,
        "labels": words.clone() if causal else torch.randint(1, size.words, (BATCH, size.length)),
    }


def _subject(make: Callable[[], Any], dtype: torch.dtype, batch: Callable[[], dict[str, Tensor]]) -> Subject:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = make().to(dtype).train()
        inputs = batch()
    return Subject(model, inputs, torch.optim.AdamW(model.parameters(), lr=1e-3, eps=1e-6))
