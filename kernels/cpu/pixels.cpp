#include "kernels/arithmetic.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

void CpuBackend::to_pixels(View x, PixelRounding rounding, View out) {
  auto* const pixels = static_cast<uint8_t*>(out.data);
  const auto convert = [&](const auto* from) {
    cpu::parallel_pieces(x.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pixels[i] = pixel_of(rounding, float(from[i]), [](float a, float b) { return a * b; });
    });
  };
  if (x.dtype == DType::float32) convert(cpu::floats(x));
  else convert(static_cast<const bfloat16*>(x.data));
}

}  // namespace pyracast
