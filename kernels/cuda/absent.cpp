// Stands in for this folder in builds without CUDA.
#include "base/error.hpp"
#include "kernels/backend.hpp"

namespace pyracast {

std::unique_ptr<Backend> make_cuda_backend(int, CudaPrecision, CudaAttention) {
  fail("this pyracast was built without CUDA: run with --device cpu, or build the preset \"cuda\"");
}

std::vector<std::string> visible_gpus() { return {}; }

}  // namespace pyracast
