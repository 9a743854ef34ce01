#pragma once
// Instructions by which a warp multiplies small matrices on the tensor cores (PTX ISA, "Matrix multiply-accumulate" and "Asynchronous
// copy"; Ampere and newer). A register holds two bfloat16 that are neighbours in a row, the first in the lower half. Of a matrix of
// 8 x 8, lane l holds elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4. All lanes of a warp call these together, but for copies.
#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {

/// Sums of 16 x 8, in two matrices of 8 x 8, one below the other: elements 0 and 1, 2 and 3.
using Sums = float[4];

/// sums += left right; left [16, 16]: the upper and the lower matrix of columns 0 to 7, then of 8 to 15; right [16, 8]: the transposes
/// of rows 0 to 7 and of 8 to 15.
__device__ inline void multiply_add(Sums& sums, uint32_t left0, uint32_t left1, uint32_t left2, uint32_t left3, uint32_t right0, uint32_t right1) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left0), "r"(left1), "r"(left2), "r"(left3), "r"(right0), "r"(right1));
#else
  emulated::multiply_add(sums, left0, left1, left2, left3, right0, right1);
#endif
}

/// The same of left [16, 8] and right [8, 8].
__device__ inline void multiply_add(Sums& sums, uint32_t left0, uint32_t left1, uint32_t right) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left0), "r"(left1), "r"(right));
#else
  emulated::multiply_add(sums, left0, left1, right);
#endif
}

/// Four matrices of shared memory; lane l says where row l % 8 of matrix l / 8 begins, at a multiple of 16 bytes.
__device__ inline void load_matrices(uint32_t (&out)[4], const bfloat16* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(uint32_t(__cvta_generic_to_shared(row))) : "memory");
#else
  emulated::load_matrices(out, 4, row, false);
#endif
}
/// Two matrices; what lanes 16 to 31 say is ignored.
__device__ inline void load_matrices(uint32_t (&out)[2], const bfloat16* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(out[0]), "=r"(out[1]) : "r"(uint32_t(__cvta_generic_to_shared(row))) : "memory");
#else
  emulated::load_matrices(out, 2, row, false);
#endif
}

/// The transposes of four matrices of shared memory, of two.
__device__ inline void load_transposed(uint32_t (&out)[4], const bfloat16* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(uint32_t(__cvta_generic_to_shared(row))) : "memory");
#else
  emulated::load_matrices(out, 4, row, true);
#endif
}
__device__ inline void load_transposed(uint32_t (&out)[2], const bfloat16* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(out[0]), "=r"(out[1]) : "r"(uint32_t(__cvta_generic_to_shared(row))) : "memory");
#else
  emulated::load_matrices(out, 2, row, true);
#endif
}

/// Begins to copy 16 bytes to shared memory, or where they are not `there` 16 zeros, and reads nothing then.
__device__ inline void begin_copy(bfloat16* to, const bfloat16* from, bool there) {
#ifdef __CUDACC__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :: "r"(uint32_t(__cvta_generic_to_shared(to))), "l"(__cvta_generic_to_global(from)), "r"(there ? 16 : 0) : "memory");
#else
  emulated::begin_copy(to, from, there ? 16 : 0);
#endif
}

/// Makes one group of the copies that this thread began.
__device__ inline void close_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulated::close_copies();
#endif
}

/// Waits until at most the last `Newest` groups of this thread are under way. Other threads see the rest behind a barrier.
template <int Newest>
__device__ void wait_for_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" :: "n"(Newest) : "memory");
#else
  emulated::wait_for_copies(Newest);
#endif
}

/// threadIdx.x, read where it stands: the compiler cannot keep it, or what follows from it, from before.
__device__ inline int thread_anew() {
#ifdef __CUDACC__
  int thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
#else
  return int(threadIdx.x);
#endif
}

/// Two numbers rounded to bfloat16.
__device__ inline uint32_t narrow_pair(float first, float second) {
#ifdef __CUDACC__
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return uint32_t(bfloat16(second).bits) << 16 | bfloat16(first).bits;
#endif
}

/// 2^x by the special function unit: relative error 2^-22, what is below 2^-126 is 0.
__device__ inline float power_of_two(float x) {
#ifdef __CUDACC__
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
#else
  return std::exp2(x);
#endif
}

}  // namespace pyracast::cuda
