#pragma once
// Between float32 and bfloat16.
#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {

template <class From, class To>
__global__ void convert_kernel(int64_t n, const From* in, To* out) {
  const int64_t i = global_index();
  if (i < n) out[i] = To(float(in[i]));
}

template <class From, class To>
void convert_elements(cudaStream_t stream, View in, View out) {
  constexpr int threads = 256;
  launch(stream, "a conversion", pieces_of(in.size(), threads), threads, 0, convert_kernel<From, To>, in.size(),
         static_cast<const From*>(in.data), static_cast<To*>(out.data));
}

/// out = in, each float32 or bfloat16; rounded to nearest even.
inline void convert(cudaStream_t stream, View in, View out) {
  const bool from_wide = in.dtype == DType::float32, to_wide = out.dtype == DType::float32;
  if (from_wide) to_wide ? convert_elements<float, float>(stream, in, out) : convert_elements<float, bfloat16>(stream, in, out);
  else to_wide ? convert_elements<bfloat16, float>(stream, in, out) : convert_elements<bfloat16, bfloat16>(stream, in, out);
}

}  // namespace pyracast::cuda
