#pragma once
// Products of weights on a CPU with AVX-512 VNNI, in place of ggml's: for the types that ggml has no such kernel for.
//
// It is a buffer type of its own, which llama.cpp's loader finds in ggml's list and puts those weights into that it takes: Q4_0, Q4_1,
// Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, F16 and, with AVX-512 BF16, BF16. They are packed anew while they are loaded, in
// the order in which the kernel reads them (matmul_packing.h), and keep about their size (Q6_K: 8.5 bits instead of 6.6). Activations
// become 8 bits a value, in blocks of 32 with a scale each, as ggml's own kernels have them; beside weights of 16 bits they stay floats
// or become BF16. It computes inside ggml's threads; llama.cpp stays as it is.
// Threads: install_matmul() before any model is loaded; the rest is ggml's.

namespace gantry::engine::kernels {

// False: this CPU can't; all weights stay ggml's.
bool install_matmul();

// For measurements: models loaded from now on use it or not.
void use_matmul(bool used);

}  // namespace gantry::engine::kernels
