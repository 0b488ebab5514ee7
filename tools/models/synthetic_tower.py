"""A tower for pictures (mmproj) of random numbers that fits SmolLM2-135M: no small real one is packaged. Two layers of LLaVA's kind "mlp", so
that tests can see pictures go in; what the model says of them means nothing. The same seed gives the same file. Of other sizes for
bench/pictures.py. usage: synthetic_tower.py TARGET [WIDTH FORWARD HEADS PATCH SIDE]
"""
import sys

import gguf
import numpy as np

SEED = 7
WIDTH, FORWARD, HEADS, PATCH, SIDE = [int(word) for word in sys.argv[2:]] or (64, 128, 4, 16, 64)
LAYERS, SCALE, MODEL_WIDTH = 2, 2, 576   # SmolLM2-135M's


def add_keys(writer):
    writer.add_type("mmproj")
    writer.add_name("synthetic-tiny-llava-mlp")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in (("image_size", SIDE), ("patch_size", PATCH), ("embedding_length", WIDTH), ("feed_forward_length", FORWARD),
                       ("block_count", LAYERS), ("attention.head_count", HEADS)):
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_uint32("clip.vision.projection_dim", MODEL_WIDTH)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    writer.add_uint32("clip.vision.projector.scale_factor", SCALE)
    writer.add_bool("clip.use_gelu", True)
    writer.add_uint32("clip.vision.preproc_image_size", SIDE * 2)
    writer.add_file_type(0)


def add_tensors(writer):
    random = np.random.default_rng(SEED)

    def draw(*shape):
        return (random.standard_normal(shape) * 0.05).astype(np.float32)

    def ones(name):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))

    def linear(name, rows, columns):
        writer.add_tensor(f"{name}.weight", draw(rows, columns))
        writer.add_tensor(f"{name}.bias", np.zeros(rows, np.float32))

    writer.add_tensor("v.patch_embd.weight", draw(WIDTH, 3, PATCH, PATCH))
    writer.add_tensor("v.patch_embd.bias", np.zeros(WIDTH, np.float32))
    writer.add_tensor("v.position_embd.weight", draw((SIDE // PATCH) ** 2, WIDTH))
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"v.blk.{layer}.{name}", WIDTH, WIDTH)
        for name in ("ln1", "ln2"):
            ones(f"v.blk.{layer}.{name}")
        linear(f"v.blk.{layer}.ffn_up", FORWARD, WIDTH)
        linear(f"v.blk.{layer}.ffn_down", WIDTH, FORWARD)
    ones("v.post_ln")
    ones("v.pre_ln")
    linear("mm.0", MODEL_WIDTH, WIDTH)
    linear("mm.2", MODEL_WIDTH, MODEL_WIDTH)


def main(target):
    writer = gguf.GGUFWriter(target, "clip")
    add_keys(writer)
    add_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
