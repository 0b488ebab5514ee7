#pragma once
// Products of weights on a CPU with AVX2 or more, in place of ggml's: for the types that ggml has no such kernel for.
//
// It is a buffer type of its own, which llama.cpp's loader finds in ggml's list and puts those weights into that it takes: Q4_0, Q4_1,
// Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS and, with AVX-512, F16 and (AVX-512 BF16) BF16. They are packed anew while they are loaded, in
// the order in which the kernel reads them (matmul_packing.h), and keep about their size (Q6_K: 8.5 bits instead of 6.6). Activations
// become 8 bits a value, in blocks of 32 with a scale each, as ggml's own kernels have them; beside weights of 16 bits they stay floats
// or become BF16. It computes inside ggml's threads; llama.cpp stays as it is.
// Threads: install_matmul() before any model is loaded; the rest is ggml's.

namespace gantry::engine::kernels {

// By worth; VNNI multiplies bytes in one instruction. kNone: weights stay ggml's.
enum class MatmulKernel { kNone, kAvx2, kAvxVnni, kAvx512 };

// The best one that this CPU runs.
MatmulKernel install_matmul();
// Chooses another one. kNone: models that are loaded from now on don't use it; the others go over to it, whatever they were loaded for,
// unless they have weights of 16 bits, which only kAvx512 multiplies. REQUIRES: installed, and this CPU runs it.
void use_matmul(MatmulKernel kernel);
bool matmul_runs(MatmulKernel kernel);   // on this CPU

}  // namespace gantry::engine::kernels
