"""Tiny models with random weights, made by the tests: the packages that read real models read these too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

DIM = 16


def tokenizer_of(texts: Iterable[str]) -> Any:
    """A tokenizer whose vocabulary is the words of texts in lower case."""
    from tokenizers import Tokenizer, normalizers
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = sorted({word for text in texts for word in text.lower().split()})
    made = Tokenizer(WordLevel({word: place for place, word in enumerate([*special, *words])}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", [("[CLS]", 2), ("[SEP]", 3)])
    return made


def static_model(folder: Path, texts: Iterable[str], seed: int = 0) -> Path:
    """A model2vec model."""
    from model2vec import StaticModel

    tokenizer = tokenizer_of(texts)
    tokenizer.post_processor = None
    vectors = np.random.default_rng(seed).standard_normal((tokenizer.get_vocab_size(), DIM)).astype(np.float32)
    StaticModel(vectors, tokenizer).save_pretrained(str(folder))
    return folder


def torch_model(folder: Path, texts: Iterable[str], prompts: dict[str, str] | None = None, longest: int = 32) -> Path:
    """A model of sentence-transformers: a BERT of one layer, pooled by the mean."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    made: Any = PreTrainedTokenizerFast
    tokenizer = made(tokenizer_object=tokenizer_of(texts), **names)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": DIM,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 2 * DIM,
    }
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    kind = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{kind}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kind}.Pooling"},
    ]
    pooling = {"word_embedding_dimension": DIM, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling").mkdir()
    files: dict[str, Any] = {
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": prompts or {}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), "utf-8")
    return folder


def onnx_text_model(folder: Path, texts: Iterable[str]) -> Path:
    """A model in ONNX format that looks up a vector for each token; the caller's tokenizer pads with [PAD]."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    tokenizer = tokenizer_of(texts)
    vectors = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), DIM)).astype(np.float32)
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names]
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", DIM])
    nodes = [helper.make_node("Gather", ["vectors", "input_ids"], ["last_hidden_state"])]
    graph = helper.make_graph(nodes, "model", inputs, [states], [numpy_helper.from_array(vectors, "vectors")])
    (folder / "onnx").mkdir(parents=True)
    save_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "onnx/model.onnx"
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 5}', "utf-8")
    return folder
