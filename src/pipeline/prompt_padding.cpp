#include "pipeline/prompt_padding.hpp"

namespace pyracast {

Tensor without_padding(const Tensor& x, const std::vector<int64_t>& mask, int copies) {
  const int64_t width = x.dim(2), tokens = x.dim(1);
  std::vector<float> kept;
  for (int64_t row = 0; row < x.dim(0); ++row)
    for (int64_t i = 0; i < tokens; ++i) kept.insert(kept.end(), size_t(width), float(mask[size_t(row / copies * tokens + i)]));
  return x * Tensor(x.backend(), x.shape(), kept);
}

}  // namespace pyracast
