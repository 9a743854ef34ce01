#include <cfloat>

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;

// Nothing is summed: who finds a value that is not finite says so, and all say the same.
template <class Element>
__global__ void all_finite_kernel(int64_t n, const Element* x, int* finite) {
  const int64_t i = global_index();
  if (i < n && !(fabsf(float(x[i])) <= FLT_MAX)) *finite = 0;
}

}  // namespace
}  // namespace cuda

// The GPU writes into the host's memory: whoever asks then waits for that moment, and takes no place in the stream.
std::function<bool()> CudaBackend::all_finite(View x) {
  const auto finite = std::static_pointer_cast<int>(cuda::DeviceStream::allocate_host(stream_, sizeof(int)));
  *finite = 1;
  cuda::with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    cuda::launch(stream(), "all_finite", pieces_of(x.size(), cuda::threads), cuda::threads, 0, cuda::all_finite_kernel<T>, x.size(),
                 cuda::elements<const T>(x), finite.get());
  });
  return [finite, device = stream_, looked = moment()] {
    device->current();   // in any thread
    cuda::check(cudaEventSynchronize(static_cast<cudaEvent_t>(looked.event.get())), "looking whether values are finite, or what came before");
    return *finite != 0;
  };
}

}  // namespace pyracast
