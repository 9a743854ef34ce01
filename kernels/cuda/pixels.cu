#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256, together = 8;

struct Product {
  __device__ float operator()(float a, float b) const {
#ifdef __CUDA_ARCH__
    return __fmul_rn(a, b);   // nvcc makes no fused multiply-add of it
#else
    return a * b;
#endif
  }
};

template <int n, class T>
__global__ void to_pixels_kernel(int64_t packs, const T* x, PixelRounding rounding, uint8_t* out) {
  const int64_t i = global_index() * n;
  if (i >= packs * n) return;
  const Pack<T, n> from = load<n>(x + i);
  Pack<uint8_t, n> pixels;
#pragma unroll
  for (int k = 0; k < n; ++k) pixels.of[k] = pixel_of(rounding, float(from.of[k]), Product());
  store(out + i, pixels);
}

}  // namespace
}  // namespace cuda

void CudaBackend::to_pixels(View x, PixelRounding rounding, View out) {
  cuda::with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    const auto run = [&](auto kernel, int64_t packs) {
      cuda::launch(stream(), "making pixels", pieces_of(packs, cuda::threads), cuda::threads, 0, kernel, packs, cuda::elements<const T>(x),
                   rounding, cuda::elements<uint8_t>(out));
    };
    if (cuda::in_packs(x.size(), cuda::together, x, out)) run(cuda::to_pixels_kernel<cuda::together, T>, x.size() / cuda::together);
    else run(cuda::to_pixels_kernel<1, T>, x.size());
  });
}

}  // namespace pyracast
