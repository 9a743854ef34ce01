#pragma once
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/tensor_cores.hpp"

namespace pyracast::cuda {

/// Attention of bfloat16 by a library, whose kernels have what a GPU offers beyond warp_matrices.cuh: on Hopper products of a group of warps.
class LibraryAttention {
 public:
  virtual ~LibraryAttention() = default;
  /// Of the library: "cudnn91900".
  virtual std::string version() const = 0;
  /// attend() of `batch` entries that each have `keys` keys and lie one behind the other, without a bias.
  virtual void attend(cudaStream_t stream, const NarrowAttentionCall& call, int64_t batch, int64_t keys) = 0;
};

/// By cuDNN on the GPU with this index; null in builds without it. `workspace`: library_workspace_bytes of GPU memory, which must outlive it.
std::unique_ptr<LibraryAttention> make_library_attention(int device, void* workspace);

/// Has cuDNN compile such an attention for a GPU that need not be here, of which `properties` are what cuDNN writes of one, in JSON: the bytes
/// of workspace. Throws Error where it has none.
int64_t compile_library_attention(const std::string& properties, const NarrowAttentionCall& call, int64_t batch, int64_t keys);

}  // namespace pyracast::cuda
