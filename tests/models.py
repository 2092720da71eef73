"""Small models and datasets for tests, the same bytes on every machine: {path in the repo: bytes}."""
import functools
import json
import pathlib
import random

BLOCK = 1 << 20
WORDS = ("the a of and to in is it mount model hub file tree byte read write load cache chunk peer node disk page "
         "first second last small large fast slow right wrong open close lazy token tensor layer weight data test").split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?-"


def big_file(size, seed=0, path=None):
    """`size` pseudo-random bytes; with path they are written there and the path is returned."""
    if path is None:
        return b"".join(block(seed, n)[:size - n * BLOCK] for n in range(-(-size // BLOCK)))
    path = pathlib.Path(path)
    with open(path, "wb") as out:
        for n in range(-(-size // BLOCK)):
            out.write(block(seed, n)[:size - n * BLOCK])
    return path


def block(seed, n):
    """The n-th MiB of big_file(…, seed)."""
    return random.Random(f"{seed}/{n}").randbytes(BLOCK)


def write(files, directory):
    """Puts {path: bytes} into a directory; returns it."""
    for name, data in files.items():
        path = pathlib.Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return pathlib.Path(directory)


def floats(count, seed):
    """`count` float32, finite and below 2 (the top bit of each exponent is cleared)."""
    raw = int.from_bytes(random.Random(seed).randbytes(4 * count), "little")
    return (raw & int.from_bytes(b"\xff\xff\xff\xbf" * count, "little")).to_bytes(4 * count, "little")


def safetensors(tensors, metadata=None):
    """{name: (shape, float32 bytes)} as a file, laid out as the safetensors package does (sorted by name)."""
    header, at = {"__metadata__": metadata} if metadata else {}, 0
    for name in sorted(tensors):
        shape, data = tensors[name]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(tensors[n][1] for n in sorted(tensors))


def _tensors(shapes, seed):
    tensors = {}
    for name, shape in shapes.items():
        count = functools.reduce(int.__mul__, shape)
        tensors[name] = (shape, floats(count, f"{seed}/{name}"))
    return tensors


def _text(value):
    return (json.dumps(value, indent=2) + "\n").encode()


@functools.cache
def _tiny(seed):
    hidden, layers, inner, positions, size = 128, 2, 512, 512, 2048
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = special + list(LETTERS) + ["##" + c for c in LETTERS] + [w for w in WORDS if w not in LETTERS]
    vocab += [f"[unused{n}]" for n in range(size - len(vocab))]
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
              "num_attention_heads": 2, "intermediate_size": inner, "max_position_embeddings": positions,
              "type_vocab_size": 2, "vocab_size": size, "pad_token_id": 0, "hidden_act": "gelu",
              "layer_norm_eps": 1e-12, "dtype": "float32"}
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": n, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for n, t in enumerate(special)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                     {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [special.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {t: n for n, t in enumerate(vocab)}}}
    shapes = {"embeddings.word_embeddings.weight": (size, hidden), "embeddings.position_embeddings.weight": (positions, hidden),
              "embeddings.token_type_embeddings.weight": (2, hidden), "embeddings.LayerNorm.weight": (hidden,),
              "embeddings.LayerNorm.bias": (hidden,), "pooler.dense.weight": (hidden, hidden), "pooler.dense.bias": (hidden,)}
    for n in range(layers):
        for part, out, into in (("attention.self.query", hidden, hidden), ("attention.self.key", hidden, hidden),
                                ("attention.self.value", hidden, hidden), ("attention.output.dense", hidden, hidden),
                                ("intermediate.dense", inner, hidden), ("output.dense", hidden, inner)):
            shapes[f"encoder.layer.{n}.{part}.weight"] = (out, into)
            shapes[f"encoder.layer.{n}.{part}.bias"] = (out,)
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{n}.{part}.weight"] = shapes[f"encoder.layer.{n}.{part}.bias"] = (hidden,)
    return {
        "README.md": b"---\nlicense: apache-2.0\n---\n# tiny\n",
        "config.json": _text(config),
        "tokenizer_config.json": _text({"tokenizer_class": "BertTokenizer", "do_lower_case": True,
                                        "model_max_length": positions} | names),
        "special_tokens_map.json": _text(names),
        "tokenizer.json": _text(tokenizer),
        "vocab.txt": "".join(t + "\n" for t in vocab).encode(),
        "model.safetensors": safetensors(_tensors(shapes, seed), {"format": "pt"}),
    }


def tiny_model(seed=0):
    """A BERT of about 3 MB with a WordPiece tokenizer; AutoConfig and AutoTokenizer load it."""
    return dict(_tiny(seed))


def sharded_model(shards=2, mb=8, seed=0):
    """`shards` files of about `mb` MiB each, with model.safetensors.index.json."""
    files, weight_map, total = {"config.json": _text({"model_type": "bert", "architectures": ["BertModel"]})}, {}, 0
    for shard in range(shards):
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        tensors = _tensors({f"layers.{shard * mb + n}.weight": (512, 512) for n in range(mb)}, seed)
        files[name] = safetensors(tensors, {"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
        total += sum(len(data) for _, data in tensors.values())
    files["model.safetensors.index.json"] = _text({"metadata": {"total_size": total}, "weight_map": weight_map})
    return files


def dataset(n_files=10, lines=20, seed=0):
    """JSON lines in data/train and data/test, with a README."""
    files = {"README.md": b"---\nlicense: cc0-1.0\n---\n# lines\n"}
    for n in range(n_files):
        rng = random.Random(f"{seed}/{n}")
        rows = ({"id": n * lines + i, "text": " ".join(rng.choices(WORDS, k=8))} for i in range(lines))
        part = "test" if n % 5 == 4 else "train"
        files[f"data/{part}/{n:05d}.jsonl"] = "".join(json.dumps(r) + "\n" for r in rows).encode()
    return files
