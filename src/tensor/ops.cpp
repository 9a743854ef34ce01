#include "tensor/ops.hpp"

#include <cassert>

namespace pyracast {

namespace {

Shape strides_of(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

int axis_of(const Tensor& x, int axis) {
  const int index = axis < 0 ? axis + x.axes() : axis;
  require(index >= 0 && index < x.axes(), "axis ", axis, " of a tensor of shape ", x.shape());
  return index;
}

void copy_all(const Tensor& in, int64_t in_offset, const Shape& in_strides, Tensor& out, int64_t out_offset,
              const Shape& out_strides, const Shape& shape) {
  if (size_of(shape) > 0)
    in.backend().copy(in.view(), in_offset, in_strides, out.view(), out_offset, out_strides, shape);
}

/// x seen as [groups, rows, channels], where `per_group` is [groups, channels].
View grouped(const char* operation, const Tensor& x, const Tensor& per_group) {
  const int64_t channels = x.dim(-1), groups = per_group.axes() == 2 ? per_group.dim(0) : 0;
  require(groups > 0 && per_group.dim(1) == channels && (x.size() / channels) % groups == 0, operation, ": x is ",
          x.shape(), ", the factors are ", per_group.shape(), ", expected [groups, ", channels,
          "] with groups dividing the rows of x");
  View view = x.view();
  view.shape = {groups, x.size() / channels / groups, channels};
  return view;
}

void require_same_type(const char* operation, const Tensor& a, const Tensor& b) {
  require(a.dtype() == b.dtype(), operation, ": a tensor is ", name_of(a.dtype()), ", the other ", name_of(b.dtype()));
}

template <class Operation>
Tensor elementwise(const char* name, const Tensor& a, const Tensor& b, Operation operation) {
  require(a.shape() == b.shape(), name, ": shapes ", a.shape(), " and ", b.shape(), " differ");
  require_same_type(name, a, b);
  Tensor out = like(a);
  operation(a.backend(), out.view());
  return out;
}

const View* optional_view(const Tensor& x, View& storage) { return x.empty() ? nullptr : &(storage = x.view()); }

}  // namespace

Tensor like(const Tensor& x) { return Tensor(x.backend(), x.shape(), x.dtype()); }

Tensor to_pixels(const Tensor& x, PixelRounding rounding) {
  require(x.dtype() == DType::float32 || x.dtype() == DType::bfloat16, "to_pixels: expected a float32 or bfloat16 tensor, found ",
          name_of(x.dtype()));
  Tensor out(x.backend(), x.shape(), DType::uint8);
  x.backend().to_pixels(x.view(), rounding, out.view());
  return out;
}

Tensor zeros(Backend& backend, Shape shape, DType dtype) {
  Tensor out(backend, std::move(shape), dtype);
  backend.fill(out.view(), 0);
  return out;
}

Tensor converted(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor out(x.backend(), x.shape(), dtype);
  if (x.size() > 0) x.backend().convert(x.view(), out.view());
  return out;
}

namespace {

/// The view of a residual that is like `out`, if there is one.
const View* residual_view(const char* operation, const Tensor& residual, const Tensor& out, View& view) {
  if (residual.empty()) return nullptr;
  require(residual.shape() == out.shape() && residual.dtype() == out.dtype(), operation, ": the residual is ", residual.shape(), " of ",
          name_of(residual.dtype()), ", expected ", out.shape(), " of ", name_of(out.dtype()));
  return optional_view(residual, view);
}

}  // namespace

Tensor linear(const Tensor& x, const PackedWeights& weight, const Tensor& bias, Activation activation, const Residual& residual) {
  require(x.dim(-1) == weight.depth, "linear: x is ", x.shape(), ", the weight takes ", weight.depth, " features");
  require(bias.empty() || bias.shape() == Shape{weight.columns}, "linear: bias is ", bias.shape(), ", expected [",
          weight.columns, "]");
  Shape shape = x.shape();
  shape.back() = weight.columns;
  Tensor out(x.backend(), shape, x.dtype());
  require(residual.x.empty() ? residual.gate.empty() : activation == Activation::none,
          "linear: a residual and an activation, or a gate of no residual");
  if (!residual.gate.empty()) grouped("linear", out, residual.gate);
  View bias_view, added, gate;
  x.backend().linear(x.view(), weight, optional_view(bias, bias_view), activation, out.view(), residual_view("linear", residual.x, out, added),
                     optional_view(residual.gate, gate));
  return out;
}

Tensor convolution(const Tensor& x, const PackedWeights& weight, const Tensor& bias, const ConvolutionGeometry& geometry, const Tensor& residual) {
  require(x.axes() == 5, "convolution: x is ", x.shape(), ", expected [batch, time, height, width, channels]");
  const int64_t taps = geometry.kernel[0] * geometry.kernel[1] * geometry.kernel[2];
  require(taps * x.dim(4) == weight.depth, "convolution: x has ", x.dim(4), " channels and the kernel ", taps,
          " taps, the weight takes ", weight.depth, " values");
  Shape shape{x.dim(0), 0, 0, 0, weight.columns};
  for (int axis = 0; axis < 3; ++axis) {
    shape[size_t(axis) + 1] = geometry.output_size(axis, x.dim(axis + 1));
    require(shape[size_t(axis) + 1] > 0, "convolution: x ", x.shape(), " is smaller than the kernel");
  }
  Tensor out(x.backend(), shape, x.dtype());
  View bias_view, added;
  x.backend().convolution(x.view(), weight, optional_view(bias, bias_view), geometry, out.view(), residual_view("convolution", residual, out, added));
  return out;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, const Tensor& bias,
                 std::span<const KeyRange> keys_of) {
  require(q.axes() == 4 && k.axes() == 4 && k.shape() == v.shape() && q.dim(2) == k.dim(2) && q.dim(3) == k.dim(3),
          "attention: q is ", q.shape(), ", k ", k.shape(), ", v ", v.shape(), ", expected [batch, tokens, heads, size]");
  require_same_type("attention", q, k);
  require_same_type("attention", q, v);
  if (keys_of.empty()) {
    require(k.dim(0) == q.dim(0), "attention: q has ", q.dim(0), " batch entries, k has ", k.dim(0));
  } else {
    require(int64_t(keys_of.size()) == q.dim(0) && k.dim(0) == 1, "attention: ", keys_of.size(), " ranges of keys for q ",
            q.shape(), " and k ", k.shape());
    for (const KeyRange& keys : keys_of)
      require(0 <= keys.begin && keys.begin < keys.end && keys.end <= k.dim(1), "attention: keys ", keys.begin, " to ", keys.end,
              " of ", k.dim(1), ": expected at least one, and none beyond the last");
  }
  AttentionBias strided;
  if (!bias.empty()) {
    require(bias.axes() == 4 && bias.dim(3) == k.dim(1), "attention: bias is ", bias.shape(), ", expected ", k.dim(1),
            " keys last");
    const Shape strides = strides_of(bias.shape());
    strided = {bias.view(), bias.dim(0) > 1 ? strides[0] : 0, bias.dim(1) > 1 ? strides[1] : 0,
               bias.dim(2) > 1 ? strides[2] : 0};
  }
  Tensor out = like(q);
  q.backend().attention(q.view(), k.view(), v.view(), scale, bias.empty() ? nullptr : &strided, keys_of, out.view());
  return out;
}

Tensor layer_norm(const Tensor& x, float epsilon, const Tensor& weight, const Tensor& bias) {
  const Shape expected{x.dim(-1)};
  require((weight.empty() || weight.shape() == expected) && (bias.empty() || bias.shape() == expected),
          "layer_norm: weight is ", weight.shape(), ", bias is ", bias.shape(), ", expected ", expected);
  Tensor out = like(x);
  View weight_view, bias_view;
  x.backend().layer_norm(x.view(), epsilon, optional_view(weight, weight_view), optional_view(bias, bias_view), out.view());
  return out;
}

Tensor rms_norm(const Tensor& x, float epsilon, const Tensor& weight) {
  require(weight.shape() == Shape{x.dim(-1)}, "rms_norm: weight is ", weight.shape(), ", expected [", x.dim(-1), "]");
  Tensor out = like(x);
  x.backend().rms_norm(x.view(), epsilon, weight.view(), out.view());
  return out;
}

Tensor group_norm(const Tensor& x, int64_t groups, float epsilon, const Tensor& weight, const Tensor& bias,
                  Activation activation) {
  const int64_t channels = x.dim(-1);
  require(groups > 0 && channels % groups == 0, "group_norm: ", channels, " channels do not fall into ", groups, " groups");
  require(weight.shape() == Shape{channels} && bias.shape() == Shape{channels}, "group_norm: weight is ",
          weight.shape(), ", bias is ", bias.shape(), ", expected [", channels, "]");
  Tensor out = like(x);
  View in = x.view(), result = out.view();
  in.shape = result.shape = {x.dim(0), x.size() / x.dim(0) / channels, channels};
  x.backend().group_norm(in, groups, epsilon, weight.view(), bias.view(), activation, result);
  return out;
}

Tensor modulate(const Tensor& x, const Tensor& shift, const Tensor& scale) {
  require(shift.shape() == scale.shape(), "modulate: shift is ", shift.shape(), ", scale is ", scale.shape());
  Tensor out = like(x);
  View result = out.view();
  const View in = grouped("modulate", x, shift);
  result.shape = in.shape;
  x.backend().modulate(in, shift.view(), scale.view(), result);
  return out;
}

Tensor gate(const Tensor& x, const Tensor& gate) {
  Tensor out = like(x);
  View result = out.view();
  const View in = grouped("gate", x, gate);
  result.shape = in.shape;
  x.backend().gate(in, gate.view(), result);
  return out;
}

Tensor modulated_norm(const Tensor& x, float epsilon, const Tensor& shift, const Tensor& scale) {
  require(shift.shape() == scale.shape(), "modulated_norm: shift is ", shift.shape(), ", scale is ", scale.shape());
  Tensor out = like(x);
  View result = out.view();
  const View in = grouped("modulated_norm", x, shift);
  result.shape = in.shape;
  x.backend().modulated_norm(in, epsilon, shift.view(), scale.view(), result);
  return out;
}

Tensor add_gated(const Tensor& x, const Tensor& branch, const Tensor& factor) {
  require(x.shape() == branch.shape(), "add_gated: shapes ", x.shape(), " and ", branch.shape(), " differ");
  require_same_type("add_gated", x, branch);
  Tensor out = like(x);
  const View in = grouped("add_gated", x, factor);
  View added = branch.view(), result = out.view();
  added.shape = result.shape = in.shape;
  x.backend().add_gated(in, added, factor.view(), result);
  return out;
}

Tensor packed_attention(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm, float epsilon, const Tensor& cosines,
                        const Tensor& sines, float scale) {
  require(qkv.axes() == 6 && qkv.dim(3) == 3, "packed_attention: qkv is ", qkv.shape(), ", expected [batch, tokens, beside, 3, heads, size]");
  const Shape norm{qkv.dim(5)}, angles{qkv.dim(1), qkv.dim(5) / 2};
  require(q_norm.empty() ? k_norm.empty() : q_norm.shape() == norm && k_norm.shape() == norm, "packed_attention: the norms' weights are ",
          q_norm.shape(), " and ", k_norm.shape(), ", expected ", norm);
  require(cosines.empty() ? sines.empty() : cosines.shape() == angles && sines.shape() == angles, "packed_attention: cosines are ",
          cosines.shape(), ", sines are ", sines.shape(), ", expected ", angles);
  const auto optional = [](const Tensor& x) { return x.empty() ? std::nullopt : std::optional(x.view()); };
  Tensor out(qkv.backend(), {qkv.dim(0), qkv.dim(1), qkv.dim(2), qkv.dim(4), qkv.dim(5)}, qkv.dtype());
  qkv.backend().packed_attention(qkv.view(), {optional(q_norm), optional(k_norm), epsilon, optional(cosines), optional(sines), scale},
                                 out.view());
  return out;
}

Tensor rotate(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  require(x.axes() == 4, "rotate: x is ", x.shape(), ", expected [batch, tokens, heads, size]");
  const Shape expected{x.dim(1), x.dim(3) / 2};
  require(cosines.shape() == expected && sines.shape() == expected, "rotate: cosines are ", cosines.shape(),
          ", sines are ", sines.shape(), ", expected ", expected);
  Tensor out = like(x);
  x.backend().rotate(x.view(), cosines.view(), sines.view(), out.view());
  return out;
}

Tensor activate(const Tensor& x, Activation activation) {
  Tensor out = like(x);
  x.backend().activate(x.view(), activation, out.view());
  return out;
}

Tensor gather_rows(const Tensor& table, std::span<const int64_t> indices) {
  require(table.axes() == 2, "gather_rows: the table is ", table.shape(), ", expected [rows, columns]");
  for (const int64_t index : indices)
    require(index >= 0 && index < table.dim(0), "gather_rows: row ", index, " of a table with ", table.dim(0), " rows");
  Tensor out(table.backend(), {int64_t(indices.size()), table.dim(1)}, table.dtype());
  table.backend().gather_rows(table.view(), indices, out.view());
  return out;
}

Tensor operator+(const Tensor& a, const Tensor& b) {
  return elementwise("add", a, b, [&](Backend& backend, View out) { backend.add(a.view(), b.view(), out); });
}

Tensor operator*(const Tensor& a, const Tensor& b) {
  return elementwise("multiply", a, b, [&](Backend& backend, View out) { backend.multiply(a.view(), b.view(), out); });
}

Tensor combine(float a, const Tensor& x, float b, const Tensor& y) {
  return elementwise("combine", x, y, [&](Backend& backend, View out) { backend.combine(a, x.view(), b, y.view(), out); });
}

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  require(int(axes.size()) == x.axes(), "permute: ", axes.size(), " axes for a tensor of shape ", x.shape());
  const Shape strides = strides_of(x.shape());
  Shape shape, in_strides;
  for (const int axis : axes) {
    shape.push_back(x.dim(axis));
    in_strides.push_back(strides[size_t(axis_of(x, axis))]);
  }
  Tensor out(x.backend(), shape, x.dtype());
  copy_all(x, 0, in_strides, out, 0, strides_of(shape), shape);
  return out;
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  const int a = axis_of(x, axis);
  require(0 <= begin && begin <= end && end <= x.dim(a), "slice: ", begin, " to ", end, " along axis ", a, " of ", x.shape());
  Shape shape = x.shape();
  shape[size_t(a)] = end - begin;
  Tensor out(x.backend(), shape, x.dtype());
  const Shape strides = strides_of(x.shape());
  copy_all(x, begin * strides[size_t(a)], strides, out, 0, strides_of(shape), shape);
  return out;
}

Tensor concatenate(const std::vector<Tensor>& parts, int axis) {
  require(!parts.empty(), "concatenate: nothing to join");
  const int a = axis_of(parts.front(), axis);
  Shape shape = parts.front().shape();
  shape[size_t(a)] = 0;
  for (const Tensor& part : parts) {
    Shape expected = shape;
    expected[size_t(a)] = part.axes() == int(shape.size()) ? part.dim(a) : -1;
    require(part.shape() == expected, "concatenate along axis ", a, ": shapes ", parts.front().shape(), " and ", part.shape());
    shape[size_t(a)] += part.dim(a);
  }
  Tensor out(parts.front().backend(), shape, parts.front().dtype());
  const Shape strides = strides_of(shape);
  int64_t at = 0;
  for (const Tensor& part : parts) {
    copy_all(part, 0, strides_of(part.shape()), out, at * strides[size_t(a)], strides, part.shape());
    at += part.dim(a);
  }
  return out;
}

Tensor rows(const Tensor& x, int64_t begin, int64_t end) {
  require(x.axes() > 0 && 0 <= begin && begin <= end && end <= x.dim(0), "rows: ", begin, " to ", end, " of ", x.shape());
  Shape shape = x.shape();
  shape[0] = end - begin;
  const size_t before = x.dim(0) ? x.bytes() / size_t(x.dim(0)) * size_t(begin) : 0;
  if (before % 16 != 0) return slice(x, 0, begin, end);
  return Tensor(x.backend(), shape, x.dtype(), {x.buffer(), static_cast<char*>(x.buffer().get()) + before});
}

namespace {

/// f(shape, begin along the axis, begin in a row of all parts) for each part along an axis, which it makes whole.
template <class F>
void for_parts(const char* operation, Shape shape, int axis, std::span<const int64_t> sizes, F f) {
  const int64_t whole = shape[size_t(axis)];
  int64_t begin = 0, before = 0;
  for (const int64_t size : sizes) {
    shape[size_t(axis)] = size;
    f(shape, begin, before);
    begin += size;
    before += size_of(shape);
  }
  require(begin == whole, operation, ": parts of ", begin, " along an axis of ", whole);
}

}  // namespace

Tensor cut(const Tensor& x, int axis, std::span<const int64_t> sizes) {
  const int a = axis_of(x, axis);
  Tensor out = a == 0 ? x.reshape({x.size()}) : Tensor(x.backend(), {x.size()}, x.dtype());
  const Shape strides = strides_of(x.shape());
  for_parts("cut", x.shape(), a, sizes, [&](const Shape& part, int64_t begin, int64_t before) {
    if (a > 0) copy_all(x, begin * strides[size_t(a)], strides, out, before, strides_of(part), part);
  });
  return out;
}

Tensor joined(const Tensor& flat, const Shape& shape, int axis, std::span<const int64_t> sizes) {
  require(flat.size() == size_of(shape), "joined: ", flat.shape(), " has not the elements of ", shape);
  Tensor out = axis == 0 ? flat.reshape(shape) : Tensor(flat.backend(), shape, flat.dtype());
  const Shape strides = strides_of(shape);
  for_parts("joined", shape, axis, sizes, [&](const Shape& part, int64_t begin, int64_t before) {
    if (axis > 0) copy_all(flat, before, strides_of(part), out, begin * strides[size_t(axis)], strides, part);
  });
  return out;
}

Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after) {
  if (before == 0 && after == 0) return x;
  const int a = axis_of(x, axis);
  Shape shape = x.shape();
  shape[size_t(a)] += before + after;
  Tensor out = zeros(x.backend(), shape, x.dtype());
  const Shape strides = strides_of(shape);
  copy_all(x, 0, strides_of(x.shape()), out, before * strides[size_t(a)], strides, x.shape());
  return out;
}

Tensor repeat(const Tensor& x, int axis, int64_t times) {
  if (times == 1) return x;
  const int a = axis_of(x, axis);
  Shape shape = x.shape();
  const int64_t before = size_of(Shape(shape.begin(), shape.begin() + a)), run = size_of(Shape(shape.begin() + a, shape.end()));
  shape[size_t(a)] *= times;
  Tensor out(x.backend(), shape, x.dtype());
  copy_all(x, 0, {run, 0, 1}, out, 0, {times * run, run, 1}, {before, times, run});
  return out;
}

Tensor upsample_nearest(const Tensor& x) {
  require(x.axes() == 5, "upsample_nearest: x is ", x.shape(), ", expected [batch, time, height, width, channels]");
  const int64_t frames = x.dim(0) * x.dim(1), h = x.dim(2), w = x.dim(3), c = x.dim(4);
  Tensor out(x.backend(), {x.dim(0), x.dim(1), 2 * h, 2 * w, c}, x.dtype());
  copy_all(x, 0, {w * c, 0, c, 0, 1}, out, 0, {4 * w * c, 2 * w * c, 2 * c, c, 1}, {frames * h, 2, w, 2, c});
  return out;
}

}  // namespace pyracast
