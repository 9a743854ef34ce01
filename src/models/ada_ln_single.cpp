#include "models/ada_ln_single.hpp"

#include <cmath>

namespace pyracast {

void append_sinusoid(std::vector<float>& table, double position, int64_t size) {
  const auto angle = [&](int64_t k) { return position * std::pow(10000.0, -double(k) / (double(size) / 2)); };
  for (int64_t k = 0; k < size / 2; ++k) table.push_back(float(std::sin(angle(k))));
  for (int64_t k = 0; k < size / 2; ++k) table.push_back(float(std::cos(angle(k))));
}

Tensor token_bias(Backend& backend, const std::vector<float>& kept, int64_t frames, int64_t height, int64_t width, int64_t patch) {
  const int64_t rows = height / patch, columns = width / patch;
  require(int64_t(kept.size()) == frames * height * width, "a mask of ", kept.size(), " values for ", frames, " frames of ", height, " x ",
          width, " latents");
  std::vector<float> bias;
  for (int64_t frame = 0; frame < frames; ++frame)
    for (int64_t token = 0; token < rows * columns; ++token) {
      bool counts = false;
      for (int64_t i = 0; i < patch * patch; ++i)
        counts = counts || kept[size_t((frame * height + token / columns * patch + i / patch) * width + token % columns * patch + i % patch)] != 0;
      bias.push_back(counts ? 0.f : -10000.f);
    }
  return Tensor(backend, {frames, rows * columns}, bias);
}

}  // namespace pyracast
