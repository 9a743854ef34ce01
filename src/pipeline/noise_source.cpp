#include "pipeline/noise_source.hpp"

#include <algorithm>
#include <numeric>

#include "base/random.hpp"

namespace pyracast {

namespace {

/// How the parts of a tensor lie in it, and in its whole: `outside` runs of `inside` numbers for each place along the axis.
struct Runs {
  size_t outside = 1, inside = 1, length;

  Runs(const Shape& shape, size_t axis) : length(size_t(shape.at(axis))) {
    for (size_t i = 0; i < shape.size(); ++i) (i < axis ? outside : inside) *= i == axis ? 1 : size_t(shape[i]);
  }
};

/// act(offset in the whole, offset in the part, numbers) for each run of `part`.
template <class Act>
void for_each_run(const Runs& runs, size_t first, size_t last, Act act) {
  const size_t count = (last - first) * runs.inside;
  for (size_t o = 0; o < runs.outside; ++o) act((o * runs.length + first) * runs.inside, o * count, count);
}

std::vector<float> part_of(const std::vector<float>& whole, const Shape& shape, const NoisePart& part) {
  const Runs runs(shape, part.axis);
  std::vector<float> values(runs.outside * size_t(part.last - part.first) * runs.inside);
  for_each_run(runs, size_t(part.first), size_t(part.last),
               [&](size_t from, size_t to, size_t count) { std::copy_n(whole.begin() + ptrdiff_t(from), count, values.begin() + ptrdiff_t(to)); });
  return values;
}

uint32_t number_of(NoiseUse use, int clip, int step) { return (uint32_t(clip) << 20) | (uint32_t(use) << 16) | uint32_t(step); }

}  // namespace

std::vector<float> NoiseSource::draw_part(NoiseUse use, int clip, int step, const Shape& shape, const NoisePart& part) {
  return part_of(draw(use, clip, step, shape), shape, part);
}

std::vector<float> PhiloxNoise::draw(NoiseUse use, int clip, int step, const Shape& shape) {
  std::vector<float> values(size_t(size_of(shape)));
  standard_normal(seed_, id_, sample_, number_of(use, clip, step), values);
  return values;
}

// A reference may be far longer than what is wanted of it.
std::vector<float> PhiloxNoise::draw_part(NoiseUse use, int clip, int step, const Shape& shape, const NoisePart& part) {
  const NoiseStream stream = noise_stream(seed_, id_, sample_, number_of(use, clip, step));
  const Runs runs(shape, part.axis);
  std::vector<float> values(runs.outside * size_t(part.last - part.first) * runs.inside);
  for_each_run(runs, size_t(part.first), size_t(part.last),
               [&](size_t from, size_t to, size_t count) { standard_normal(stream, from, std::span(values).subspan(to, count)); });
  return values;
}

std::vector<float> TorchNoise::draw_steps(int end, DType first) {
  std::vector<float> values(latents_);
  for (; drawn_steps_ < end; ++drawn_steps_) generator_.randn(values, drawn_steps_ == 0 ? first : DType::float32);
  return values;
}

void TorchNoise::end_clip() {
  if (latents_) draw_steps(steps_, dtype_);
}

std::vector<float> TorchNoise::draw(NoiseUse use, int, int step, const Shape& shape) {
  if (use == NoiseUse::renoise) {
    require(drawn_steps_ <= step, "noise torch was asked for step ", step, " behind step ", drawn_steps_ - 1);
    latents_ = size_t(size_of(shape));
    return draw_steps(step + 1, wholes_.empty() ? DType::float32 : dtype_);   // only what encodes keeps the model's type until a step was made
  }
  require(use == NoiseUse::latents, "noise torch draws for an encoder in parts");
  end_clip();
  std::vector<float> values(size_t(size_of(shape)));
  generator_.randn(values, dtype_);
  latents_ = values.size();
  drawn_steps_ = 0;
  return values;
}

std::vector<float> TorchNoise::draw_part(NoiseUse use, int clip, int step, const Shape& shape, const NoisePart& part) {
  Whole& whole = wholes_[use];
  if (whole.clip != clip || whole.step != step) {
    end_clip();
    whole = {clip, step, std::vector<float>(size_t(size_of(shape)))};
    const Runs runs(shape, part.axis);
    const auto all = std::accumulate(part.pieces.begin(), part.pieces.end(), int64_t(0));
    require(size_t(all) == runs.length, "noise torch was asked for ", runs.length, " places along an axis in pieces that have ", all);
    size_t first = 0;
    for (const int64_t length : part.pieces) {
      std::vector<float> piece(runs.outside * size_t(length) * runs.inside);
      // The temporal posterior draws in float32, whatever the model's type, and rounds.
      generator_.randn(piece, use == NoiseUse::encode_temporal ? DType::float32 : dtype_);
      if (dtype_ == DType::bfloat16) std::transform(piece.begin(), piece.end(), piece.begin(), round_to_bfloat16);
      for_each_run(runs, first, first + size_t(length), [&](size_t to, size_t from, size_t count) {
        std::copy_n(piece.begin() + ptrdiff_t(from), count, whole.values.begin() + ptrdiff_t(to));
      });
      first += size_t(length);
    }
  }
  return part_of(whole.values, shape, part);
}

}  // namespace pyracast
