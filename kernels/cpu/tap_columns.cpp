#include "kernels/cpu/tap_columns.hpp"

#include "kernels/cpu/matrix_product.hpp"

namespace pyracast::cpu {

namespace {

constexpr int64_t strip_rows = 32;   // output rows of a task; those beside it are multiplied twice

/// out[w][o] += taps[w][o], taps `stride` floats apart. Outputs: 0 if known at run time only.
template <int Outputs>
void add_taps(const float* taps, int64_t stride, int64_t positions, int64_t outputs, float* __restrict out) {
  const int64_t n = Outputs ? Outputs : outputs;
  for (int64_t w = 0; w < positions; ++w)
    for (int64_t o = 0; o < n; ++o) out[w * n + o] += taps[w * stride + o];
}

/// A row of input positions, multiplied with all taps.
class Products {
 public:
  Products(const Simd& simd, int64_t width, int64_t columns) : simd_(simd), width_(width), stride_(rounded_up(columns, panel_columns)) {
    const size_t floats = size_t((width + tile_rows) * stride_);   // room for a last whole tile
    if (values_.size() < floats) values_.resize(floats);
  }

  int64_t stride() const { return stride_; }
  const float* at(int64_t w, int64_t column) const { return values_.data() + w * stride_ + column; }

  void multiply(const float* row, const PackedWeights& right) {
    with_tiles(simd_, right.dtype, [&](const auto& tiles, const auto& panels_of) {
      for (int64_t begin = 0; begin < width_; begin += row_block) {
        const int64_t rows = std::min(row_block, width_ - begin);
        multiply_block<Room::whole_tiles>(tiles, 0, rows, 0, right.columns, right.depth, PackRows{row + begin * right.depth, rows, right.depth},
                                          panels_of(right), values_.data() + begin * stride_, stride_, [](auto...) {});
      }
    });
  }

 private:
  const Simd& simd_;
  int64_t width_, stride_;
  inline static thread_local std::vector<float> values_;   // kept between calls
};

}  // namespace

void convolution_by_tap_columns(const Simd& simd, View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry,
                                View out, const View* residual) {
  const int64_t channels = x.shape[4], outputs = weight.columns, times = geometry.kernel[0];
  const int64_t frames = out.shape[0] * out.shape[1], height = out.shape[2], width = out.shape[3];
  const PackedFactors factors(outputs, weight.depth, {weight.dtype, weight.layout, channels});
  const auto add = outputs == 3 ? add_taps<3> : outputs == 4 ? add_taps<4> : add_taps<0>;
  const int64_t strips = (height + strip_rows - 1) / strip_rows;
#pragma omp parallel for schedule(dynamic) if (frames * strips > 1 && worth_threads(frames * height * width * outputs * weight.depth))
  for (int64_t task = 0; task < frames * strips; ++task) {
    const int64_t frame = task / strips, first = task % strips * strip_rows, last = std::min(height, first + strip_rows);
    const auto of_out = [&](float* all, int64_t h) { return all + (frame * height + h) * width * outputs; };
    for (int64_t position = first * width; position < last * width; ++position) {
      float* const of_position = of_out(floats(out), 0) + position * outputs;
      if (bias) std::copy_n(floats(*bias), outputs, of_position);
      else std::fill_n(of_position, outputs, 0.f);
    }

    // An input row is the taps kh of output row h.
    const auto add_row_of_taps = [&](const Products& row, int64_t kh, int64_t h) {
      for (int64_t kw = 0; kw < 3; ++kw) {
        const int64_t pad = geometry.pad_before[2], from = std::max<int64_t>(0, pad - kw), to = std::min(width, x.shape[3] + pad - kw);
        if (from < to)   // output columns whose tap lies inside of x
          add(row.at(from + kw - pad, (kh * 3 + kw) * outputs), row.stride(), to - from, outputs, of_out(floats(out), h) + from * outputs);
      }
    };
    Products products(simd, x.shape[3], factors.columns);
    for (int64_t time = 0; time < times; ++time) {
      const int64_t t = frame % out.shape[1] * geometry.stride[0] + time - geometry.pad_before[0];
      if (t < 0 || t >= x.shape[1]) continue;
      auto* const panels = static_cast<std::byte*>(weight.data.get()) + time * factors.bytes_each();
      const PackedWeights factor{{weight.data, panels}, weight.dtype, factors.columns, factors.depth, 0, weight.layout};
      const float* const picture = floats(x) + (frame / out.shape[1] * x.shape[1] + t) * x.shape[2] * x.shape[3] * channels;
      const int64_t begin = std::max<int64_t>(0, first - geometry.pad_before[1]), end = std::min(x.shape[2], last + 2 - geometry.pad_before[1]);
      for (int64_t r = begin; r < end; ++r) {   // rising rows add an output's taps in their order
        products.multiply(picture + r * x.shape[3] * channels, factor);
        for (int64_t kh = 0; kh < 3; ++kh)
          if (const int64_t h = r + geometry.pad_before[1] - kh; h >= first && h < last) add_row_of_taps(products, kh, h);
      }
    }
    if (residual)
      simd.finish(of_out(floats(out), first), width * outputs, last - first, width * outputs, {.residual = of_out(floats(*residual), first)});
  }
}

}  // namespace pyracast::cpu
