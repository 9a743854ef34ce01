// Stands in for cudnn_attention.cu in builds without cuDNN.
#include "kernels/cuda/library_attention.hpp"

namespace pyracast::cuda {

std::unique_ptr<LibraryAttention> make_library_attention(int, void*) { return nullptr; }

}  // namespace pyracast::cuda
