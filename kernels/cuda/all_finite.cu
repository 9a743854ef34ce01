#include <cfloat>

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/device_code.cuh"

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

template <class Element>
void look_at(cudaStream_t stream, View x, int* finite) {
  launch(stream, "all_finite", pieces_of(x.size(), threads), threads, 0, all_finite_kernel<Element>, x.size(), static_cast<const Element*>(x.data),
         finite);
}

}  // namespace
}  // namespace cuda

// The GPU writes into the host's memory: whoever asks then waits for that moment, and takes no place in the stream.
std::function<bool()> CudaBackend::all_finite(View x) {
  const auto finite = std::static_pointer_cast<int>(cuda::DeviceStream::allocate_host(stream_, sizeof(int)));
  *finite = 1;
  if (x.dtype == DType::float32) cuda::look_at<float>(stream(), x, finite.get());
  else cuda::look_at<bfloat16>(stream(), x, finite.get());
  return [finite, looked = moment()] {
    cuda::check(cudaEventSynchronize(static_cast<cudaEvent_t>(looked.event.get())), "looking whether values are finite, or what came before");
    return *finite != 0;
  };
}

}  // namespace pyracast
