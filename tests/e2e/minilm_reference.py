"""all-MiniLM-L6-v2 from its published weights, in numpy and by the book (BERT, mean pooling): what our vectors are held against.
Nothing of llama.cpp or of our converter is in it, the tokenizer included."""
import json
import math
import struct
import unicodedata

import numpy as np

LAYERS, HEADS, EPSILON = 6, 12, 1e-12


def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
    return tensors


class WordPiece:
    """BERT's uncased tokenizer."""

    def __init__(self, path):
        self.ids = {word: i for i, word in enumerate(path.read_text(encoding="utf-8").split("\n")) if word}

    def words(self, text):
        out = []
        current = ""
        for char in unicodedata.normalize("NFD", text.lower()):
            kind = unicodedata.category(char)
            if char in "\0\ufffd" or kind == "Mn" or (kind.startswith("C") and char not in "\t\n\r"):
                continue
            alone = kind.startswith("P") or (char < "\x7f" and kind.startswith("S")) or "\u4e00" <= char <= "\u9fff"
            if alone or char.isspace():
                out += [current] if current else []
                out += [char] if alone else []
                current = ""
            else:
                current += char
        return out + ([current] if current else [])

    def pieces(self, word):
        out = []
        start = 0
        while start < len(word):
            end = len(word)
            while end > start and ("##" if start else "") + word[start:end] not in self.ids:
                end -= 1
            if end == start or len(word) > 100:
                return [self.ids["[UNK]"]]
            out.append(self.ids[("##" if start else "") + word[start:end]])
            start = end
        return out

    def __call__(self, text):
        return [self.ids["[CLS]"], *(piece for word in self.words(text) for piece in self.pieces(word)), self.ids["[SEP]"]]


class MiniLM:
    def __init__(self, weights, vocabulary):
        self.tensors = read_safetensors(weights)
        self.tokenize = WordPiece(vocabulary)

    def linear(self, x, name):
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        return (centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * self.tensors[f"{name}.weight"] +
                self.tensors[f"{name}.bias"])

    def attention(self, x, name):
        def heads(part):
            return self.linear(x, f"{name}.self.{part}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = weights / weights.sum(-1, keepdims=True) @ value
        return self.linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), f"{name}.output.dense")

    def states(self, tokens):
        """The last layer's vector of each token."""
        names = "word", "position", "token_type"
        word, position, kind = (self.tensors[f"embeddings.{name}_embeddings.weight"] for name in names)
        x = self.norm(word[tokens] + position[:len(tokens)] + kind[0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self.norm(x + self.attention(x, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            wide = self.linear(x, f"{name}.intermediate.dense")
            wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
            x = self.norm(x + self.linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x

    def vector(self, tokens):
        mean = self.states(tokens).mean(0)
        return mean / np.linalg.norm(mean)
