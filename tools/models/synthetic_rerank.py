"""all-MiniLM-L6-v2 with a classification head of random numbers: a "reranker" whose scores mean nothing. No small real one is
packaged; this one has what llama.cpp's BERT has for ranking (pooling type, cls.weight, cls.output.weight), so that tests can see
pairs go in and scores come out. The same seed gives the same file. usage: synthetic_rerank.py FOLDER-OF-THE-MODEL TARGET
"""
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np

SEED = 4


def copy_fields(reader, writer):
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.name", "bert.pooling_type"):
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=element)


def main(folder, target):
    with tempfile.TemporaryDirectory() as work:
        plain = pathlib.Path(work) / "plain.gguf"
        subprocess.run([sys.executable, pathlib.Path(__file__).with_name("minilm_to_gguf.py"), folder, plain], check=True)
        reader = gguf.GGUFReader(plain)
        writer = gguf.GGUFWriter(target, "bert")
        writer.add_name("synthetic-rerank-minilm: a random head, its scores mean nothing")
        copy_fields(reader, writer)
        writer.add_pooling_type(gguf.PoolingType.RANK)
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        width = int(reader.fields["bert.embedding_length"].contents())
        random = np.random.Generator(np.random.PCG64(SEED))
        for name, shape in (("cls.weight", (width, width)), ("cls.bias", (width,)), ("cls.output.weight", (1, width)),
                            ("cls.output.bias", (1,))):
            writer.add_tensor(name, (random.random(shape) * 2 - 1).astype(np.float32) / np.float32(np.sqrt(width)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
