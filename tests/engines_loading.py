"""Engines themselves load models from a mount, and get out of them what they get from a disk. `make check-engines` brings them."""
import functools
import json
import os
import pathlib
import subprocess
import tempfile

import pytest

from mountlib import DEADLINE, eventually, xattr

ENGINES = pathlib.Path(__file__).parent.parent / "build/engines"
PYTHON = ENGINES / "python/bin/python"
LLAMA = ENGINES / "llama.cpp/node_modules/node-llama-cpp"

GGUF = """
import sys
import gguf, numpy as np
rng = np.random.default_rng(1)
width, layers, hidden = 256, 4, 1024
tokens = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % i for i in range(256)), "▁".encode(), *(bytes([97 + i]) for i in range(26))]
kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256, *[gguf.TokenType.NORMAL] * 27]
w = gguf.GGUFWriter(sys.argv[1], "llama")
w.add_context_length(512), w.add_embedding_length(width), w.add_block_count(layers), w.add_feed_forward_length(hidden)
w.add_head_count(4), w.add_head_count_kv(4), w.add_layer_norm_rms_eps(1e-5), w.add_rope_dimension_count(width // 4)
w.add_vocab_size(len(tokens)), w.add_tokenizer_model("llama"), w.add_token_list(tokens), w.add_token_scores([0.0] * len(tokens))
w.add_token_types(kinds), w.add_bos_token_id(1), w.add_eos_token_id(2), w.add_unk_token_id(0)
def add(name, *shape):
    w.add_tensor(name, (rng.standard_normal(shape) * 0.1).astype(np.float32))
add("token_embd.weight", len(tokens), width), add("output_norm.weight", width), add("output.weight", len(tokens), width)
for i in range(layers):
    for name in "attn_q", "attn_k", "attn_v", "attn_output":
        add(f"blk.{i}.{name}.weight", width, width)
    add(f"blk.{i}.attn_norm.weight", width), add(f"blk.{i}.ffn_norm.weight", width), add(f"blk.{i}.ffn_down.weight", width, hidden)
    add(f"blk.{i}.ffn_gate.weight", hidden, width), add(f"blk.{i}.ffn_up.weight", hidden, width)
w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
"""

GENERATE = """
const {getLlama} = await import(process.argv[4]);
const llama = await getLlama({gpu: false, build: "never", progressLogs: false, logLevel: "error"});
const model = await llama.loadModel({modelPath: process.argv[2], useMmap: process.argv[3] === "mmap"});
const sequence = (await model.createContext({contextSize: 64, threads: 1})).getSequence();
const tokens = [];
for await (const token of sequence.evaluate(model.tokenize("hello"), {temperature: 0}))
    if (tokens.push(token) >= 12) break;
console.log(JSON.stringify({release: llama.llamaCppRelease.release, tokens}));
await llama.dispose();
"""

BERT = """
import sys
import torch
from sentence_transformers import SentenceTransformer, models
from transformers import BertConfig, BertModel, BertTokenizer
to = sys.argv[1]
torch.manual_seed(1)
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(chr(97 + i) for i in range(26)), *("##" + chr(97 + i) for i in range(26))]
open(to + ".vocab", "w").write("\\n".join(words))
BertTokenizer(to + ".vocab").save_pretrained(to + ".bert")
BertModel(BertConfig(vocab_size=len(words), hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512,
                     max_position_embeddings=64)).save_pretrained(to + ".bert")
t = models.Transformer(to + ".bert", max_seq_length=32)
SentenceTransformer(modules=[t, models.Pooling(t.get_word_embedding_dimension())]).save(to)
"""

ENCODE = """
import json, sys
import sentence_transformers
m = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")
print(json.dumps({"version": sentence_transformers.__version__, "vectors": m.encode(["hello", "a mount"]).tolist()}))
"""


def run(*words, **env):
    """What it prints, or None if it fails; what it keeps at home goes."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=4 * DEADLINE,
                              env={"PATH": os.environ["PATH"], "HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1"} | env)
    if done.returncode:
        print(done.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """made(name, program): what it has written, once."""
    return functools.cache(lambda name, program: (
        path := tmp_path_factory.mktemp("models") / name, run(PYTHON, "-c", program, path))[0])


# ---- llama.cpp ----

def generate(path, how):
    """Twelve tokens that follow "hello", from weights that mean nothing; with its release."""
    with tempfile.NamedTemporaryFile("w", suffix=".mjs") as program:        # it starts itself again: no -e
        program.write(GENERATE)
        program.flush()
        return run("node", program.name, path, how, LLAMA / "dist/index.js")


@pytest.fixture
def llama(hub, made):
    if not LLAMA.exists() or not PYTHON.exists():
        pytest.skip("build/engines is not there: make check-engines brings it")
    path = made("model.gguf", GGUF)
    hub.repo("org/tiny-GGUF").commit({"model.gguf": path.read_bytes()})
    hub.model = path
    return hub


@pytest.mark.parametrize("how", ["mmap", "read"])
def test_llama_cpp_generates_the_same_from_a_mount(llama, mount, how):
    """First as the bytes come, then from the cache, by passthrough where there is some."""
    want = generate(llama.model, how)
    assert want and len(want["tokens"]) == 12
    m = mount(llama)
    path = m.files / "org/tiny-GGUF/model.gguf"
    assert generate(path, how) == want
    assert eventually(lambda: xattr(path, "user.matrixfs.sealed") == "1", DEADLINE)
    sent = llama.bytes_sent()
    assert generate(path, how) == want and llama.bytes_sent() == sent


def test_llama_cpp_fails_where_bytes_cannot_be_had(llama, mount):
    """The twin: it does not generate from what is not there."""
    m = mount(llama, timeout=2)
    with llama.fault("GET .*model.gguf", "status", code=503):
        assert generate(m.files / "org/tiny-GGUF/model.gguf", "read") is None


# ---- sentence-transformers ----

@pytest.fixture
def bert(hub, made):
    if not PYTHON.exists():
        pytest.skip("build/engines is not there: make check-engines brings it")
    path = made("bert", BERT)
    hub.repo("org/bert").commit({str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()})
    hub.model = path
    return hub


def encode(what, **env):
    return run(PYTHON, "-c", ENCODE, what, **env)


def test_sentence_transformers_encode_the_same_from_a_mount(bert, mount, tmp_path):
    """By the repository's name and by a path; offline, so that only the mount can have told them."""
    want = encode(bert.model)
    assert want and len(want["vectors"]) == 2
    m = mount(bert)
    env = {"HF_HUB_CACHE": str(m.hub), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    assert encode("org/bert", **env) == want and encode(m.files / "org/bert") == want
    assert encode("org/none", **env) is None


def test_sentence_transformers_encode_the_same_from_a_hub(bert, hubd, tmp_path):
    h = hubd(bert)
    assert encode("org/bert", HF_ENDPOINT=h.url, HF_HOME=str(tmp_path / "home")) == encode(bert.model)
