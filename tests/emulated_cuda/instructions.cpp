// Operations of a warp by the tables of the PTX ISA manual ("Matrix fragments for mma.m16n8k16", "... m16n8k8", "ldmatrix"), each lane
// from what the others gave.
#include "base/dtype.hpp"
#include "cuda_runtime.h"
#include "tensor_core_sum.hpp"

namespace emulated {
namespace {

unsigned lane() { return thread_index.x % 32; }

/// Of a lane's register: the bfloat16 in its lower (0) or upper half.
float half_of(uint32_t word, unsigned half) { return std::bit_cast<float>((half == 0 ? word << 16 : word & 0xffff0000u)); }

/// sums += left [16, depth] right [depth, 8]; a lane's registers of right follow its registers of left.
void multiply_add(float (&sums)[4], unsigned depth) {
  const unsigned lefts = depth / 4, row = lane() / 4, column = lane() % 4 * 2;
  float left[2][16], right[2][16];   // of the lane's two rows, and its two columns
  for (unsigned k = 0; k < depth; ++k) {
    const unsigned pair = k % 8 / 2;   // which of the four lanes that hold a row, or a column, holds k
    for (unsigned i = 0; i < 2; ++i) {
      left[i][k] = half_of(given_by(row * 4 + pair).words[k / 8 * 2 + i], k % 2);
      right[i][k] = half_of(given_by((column + i) * 4 + pair).words[lefts + k / 8], k % 2);
    }
  }
  for (unsigned i = 0; i < 4; ++i) sums[i] = tensor_core_sum(sums[i], left[i / 2], right[i % 2], depth, bits_of_bfloat16);
}

}  // namespace

void multiply_add(float (&sums)[4], uint32_t left0, uint32_t left1, uint32_t left2, uint32_t left3, uint32_t right0, uint32_t right1) {
  give({"a product of depth 16", {left0, left1, left2, left3, right0, right1}});
  multiply_add(sums, 16);
}

void multiply_add(float (&sums)[4], uint32_t left0, uint32_t left1, uint32_t right) {
  give({"a product of depth 8", {left0, left1, right}});
  multiply_add(sums, 8);
}

// A lane gives its row as it is when the lane comes here: what another lane writes afterwards needs a barrier.
void load_matrices(uint32_t* out, unsigned matrices, const void* row, bool transposed) {
  Given own{"a load of matrices", {}};
  if (lane() < 8 * matrices) {
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) stop("a matrix's row is not aligned to 16 bytes");
    const auto* const words = static_cast<const uint32_t*>(row);
    for (int i = 0; i < 4; ++i) own.words[i] = words[i];
  }
  give(own);
  for (unsigned i = 0; i < matrices; ++i) {
    const auto element = [&](unsigned of_row, unsigned column) -> uint32_t {
      return given_by(8 * i + of_row).words[column / 2] >> (column % 2 * 16) & 0xffffu;
    };
    const unsigned down = lane() / 4, across = lane() % 4 * 2;
    out[i] = transposed ? element(across, down) | element(across + 1, down) << 16 : element(down, across) | element(down, across + 1) << 16;
  }
}

}  // namespace emulated
