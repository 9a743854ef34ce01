#include "nn/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace pyracast {

namespace {

template <class Stored, class Convert>
std::vector<float> converted(const StoredTensor& stored, Convert convert) {
  std::vector<float> out(stored.bytes.size() / sizeof(Stored));
  for (size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, stored.bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(value);
  }
  return out;
}

/// A tensor whose bytes lie in one block that all random tensors share: uniform, as wide as keeps a product's variance.
StoredTensor random_tensor(const Shape& shape, bool is_read) {
  constexpr int64_t most_of_numbers = 4096;   // what numbers() is asked for is small
  if (!is_read && size_of(shape) > most_of_numbers) return {DType::bfloat16, shape, {}, nullptr, "random weights"};
  static std::map<int64_t, std::shared_ptr<const std::vector<bfloat16>>> blocks;   // by the depth of the product
  const int64_t depth = std::max<int64_t>(1, size_of(shape) / std::max<int64_t>(1, shape.empty() ? 1 : shape[0]));
  std::shared_ptr<const std::vector<bfloat16>>& block = blocks[depth];
  if (!block || int64_t(block->size()) < size_of(shape)) {
    std::vector<bfloat16> values(size_t(size_of(shape)), bfloat16(0));
    const float scale = depth == 1 ? 1 : std::sqrt(3 / float(depth));
    uint64_t state = 1;
    for (bfloat16& value : values) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      value = bfloat16(scale * (float(state >> 40) * 0x1p-23f - 1));
    }
    block = std::make_shared<const std::vector<bfloat16>>(std::move(values));
  }
  return {DType::bfloat16, shape, std::as_bytes(std::span(*block)).first(size_t(size_of(shape)) * 2), block, "random weights"};
}

}  // namespace

Weights Weights::random(Backend& backend, WeightStorage storage, StoredTensors known) {
  Weights weights(backend, std::move(known), storage, "random weights");
  weights.contents_->random = true;
  return weights;
}

std::vector<float> to_floats(const StoredTensor& stored) {
  const auto as_float = [](auto value) { return float(value); };
  switch (stored.dtype) {
    case DType::float32: return converted<float>(stored, as_float);
    case DType::bfloat16: return converted<bfloat16>(stored, as_float);
    case DType::float16: return converted<uint16_t>(stored, float_from_half);
    case DType::float64: return converted<double>(stored, as_float);
    case DType::int64: return converted<int64_t>(stored, as_float);
    case DType::int32: return converted<int32_t>(stored, as_float);
    case DType::int16: return converted<int16_t>(stored, as_float);
    case DType::int8: return converted<int8_t>(stored, as_float);
    case DType::float8: return converted<float8>(stored, as_float);
    case DType::uint8:
    case DType::boolean: return converted<uint8_t>(stored, as_float);
  }
  fail("unknown element type in ", stored.file);
}

Weights::Weights(Backend& backend, StoredTensors tensors, WeightStorage storage, std::string source)
    : contents_(std::make_shared<Contents>()) {
  *contents_ = {&backend, std::move(tensors), storage, std::move(source), {}, {}, false, 0};
}

const StoredTensor* Weights::take(const std::string& name, const Shape& shape) const {
  const std::string whole = prefix_ + name;
  auto found = contents_->tensors.find(whole);
  if (found == contents_->tensors.end() && contents_->random)
    found = contents_->tensors.emplace(whole, random_tensor(shape, backend().computes())).first;
  if (found == contents_->tensors.end()) {
    contents_->problems.push_back(concat("missing: ", whole, ' ', shape));
    return nullptr;
  }
  contents_->taken.insert(whole);
  if (found->second.shape != shape) {
    contents_->problems.push_back(concat(whole, " is ", found->second.shape, ", expected ", shape));
    return nullptr;
  }
  return &found->second;
}

std::vector<float> Weights::values(const StoredTensor& stored) const {
  std::vector<float> values = to_floats(stored);
  if (contents_->storage.dtype == DType::bfloat16)
    for (float& value : values) value = round_to_bfloat16(value);
  return values;
}

DType Weights::table_dtype(const StoredTensor& stored) const {
  return contents_->storage.dtype.value_or(stored.dtype == DType::bfloat16 ? DType::bfloat16 : DType::float32);
}

Packing Weights::kernel_packing(const StoredTensor& stored) const { return contents_->storage.products.value_or(table_dtype(stored)); }

// The tensor cores take float8 factors whose rows are whole runs of 16 bytes.
Packing Weights::matrix_packing(const StoredTensor& stored, int64_t columns, int64_t depth) const {
  const bool float8 = contents_->storage.float8 && of_tokens_ && columns % 16 == 0 && depth % 16 == 0;
  return float8 ? DType::float8 : kernel_packing(stored);
}

Tensor Weights::on_device(const StoredTensor& stored, const Shape& shape, DType dtype) const {
  const bool is_as_stored = stored.dtype == dtype && (dtype == DType::bfloat16 || contents_->storage.dtype != DType::bfloat16);
  if (backend().computes() && !is_as_stored) return on_device(values(stored), shape, dtype);
  Tensor out(backend(), shape, dtype);
  if (backend().computes()) backend().upload(stored.bytes.data(), out.view());   // a large table is not widened on its way
  return out;
}

Tensor Weights::on_device(const std::vector<float>& values, const Shape& shape, DType dtype) const {
  if (dtype == DType::float32) return Tensor(backend(), shape, values);
  const std::vector<bfloat16> rounded(values.begin(), values.end());
  Tensor out(backend(), shape, DType::bfloat16);
  backend().upload(rounded.data(), out.view());
  return out;
}

std::vector<float> Weights::numbers(const std::string& name, const Shape& shape) const {
  const StoredTensor* stored = take(name, shape);
  return stored ? values(*stored) : std::vector<float>();
}

Tensor Weights::tensor(const std::string& name, const Shape& shape) const {
  const StoredTensor* stored = take(name, shape);
  if (!stored) return {};
  contents_->bytes += size_t(size_of(shape)) * size_of(DType::float32);
  return on_device(*stored, shape, DType::float32);
}

Tensor Weights::table(const std::string& name, const Shape& shape) const {
  const StoredTensor* stored = take(name, shape);
  if (!stored) return {};
  const DType dtype = table_dtype(*stored);
  contents_->bytes += size_t(size_of(shape)) * size_of(dtype);
  const auto read = [&] { return on_device(*stored, shape, dtype); };
  if (!contents_->storage.shared) return read();
  return {backend(), shape, dtype, shared("table", name, *stored, dtype, [&] {
                                     const Tensor own = read();
                                     return WeightBlock{own.buffer(), own.bytes()};
                                   }).data};
}

WeightBlock Weights::shared(const std::string& use, const std::string& name, const StoredTensor& stored, DType dtype,
                            const std::function<WeightBlock()>& make) const {
  return contents_->storage.shared->at(concat(use, ' ', stored.file, ' ', prefix_, name, ' ', name_of(dtype), " for ", backend().name()), make);
}

PackedWeights Weights::packed(const std::string& name, const StoredTensor& stored, Packing packing, int64_t columns, int64_t depth,
                              const std::function<Tensor()>& published) const {
  const auto pack = [&] { return backend().pack(published().view(), packing); };
  PackedWeights packed;
  if (contents_->storage.shared) {
    const WeightBlock block = shared("matrix", name, stored, packing.dtype, [&] {
      const PackedWeights own = pack();
      return WeightBlock{own.data, own.bytes};
    });
    packed = {block.data, packing.dtype, columns, depth, block.bytes, packing.layout};
  } else {
    packed = pack();
  }
  contents_->bytes += packed.bytes;
  return packed;
}

PackedWeights Weights::matrix(const std::string& name, int64_t columns, int64_t depth) const {
  const StoredTensor* stored = take(name, {columns, depth});
  if (!stored) return {};
  return packed(name, *stored, matrix_packing(*stored, columns, depth), columns, depth,
                [&] { return on_device(*stored, {columns, depth}, table_dtype(*stored)); });
}

PackedWeights Weights::stacked(const std::vector<std::string>& names, int64_t columns, int64_t depth, const std::vector<int64_t>& order) const {
  std::vector<const StoredTensor*> parts;
  std::string all;
  for (const std::string& name : names) {
    parts.push_back(take(name, {columns, depth}));
    all += name + ' ';
  }
  if (std::count(parts.begin(), parts.end(), nullptr) > 0) return {};
  // What is kept in float32 for one of them is for all.
  const auto wide = std::find_if(parts.begin(), parts.end(), [&](const StoredTensor* part) { return table_dtype(*part) == DType::float32; });
  const StoredTensor& as_this = wide != parts.end() ? **wide : *parts.front();
  const Shape whole{int64_t(names.size()) * columns, depth};
  return packed(all, as_this, matrix_packing(as_this, whole[0], depth), whole[0], depth, [&] {
    if (!backend().computes()) return Tensor(backend(), whole, table_dtype(as_this));
    std::vector<float> rows, ordered;
    for (const StoredTensor* part : parts) {
      const std::vector<float> own = values(*part);
      rows.insert(rows.end(), own.begin(), own.end());
    }
    for (const int64_t row : order) ordered.insert(ordered.end(), rows.begin() + row * depth, rows.begin() + (row + 1) * depth);
    return on_device(order.empty() ? rows : ordered, whole, table_dtype(as_this));
  });
}

PackedWeights Weights::kernel(const std::string& name, const Shape& shape, const ConvolutionGeometry& geometry) const {
  const StoredTensor* stored = take(name, shape);
  if (!stored) return {};
  const int64_t out = shape[0], in = shape[1], taps = pyracast::size_of(shape) / (out * in);
  const Shape rows{out, taps * in};
  return packed(name, *stored, backend().packing(geometry, in, out, kernel_packing(*stored)), out, taps * in, [&] {
    if (!backend().computes()) return on_device(*stored, rows, table_dtype(*stored));
    const std::vector<float> published = values(*stored);
    std::vector<float> reordered(published.size());   // [out, in, taps] -> [out, taps, in]
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i)
        for (int64_t t = 0; t < taps; ++t)
          reordered[size_t((o * taps + t) * in + i)] = published[size_t((o * in + i) * taps + t)];
    return on_device(reordered, rows, table_dtype(*stored));
  });
}

void Weights::ignore(const std::string& name) const { contents_->taken.insert(prefix_ + name); }

void Weights::ignore_all(const std::string& beginning) const {
  for (const auto& [name, stored] : contents_->tensors)
    if (name.starts_with(prefix_ + beginning)) contents_->taken.insert(name);
}

void Weights::finish() const {
  std::vector<std::string> problems = contents_->problems;
  for (const auto& [name, stored] : contents_->tensors)
    if (!contents_->taken.contains(name)) problems.push_back(concat("not known to this model: ", name, ' ', stored.shape));
  if (problems.empty()) return;
  std::string message = concat(contents_->source, ": ", problems.size(), " of its weights do not fit the model and its config.json:");
  for (size_t i = 0; i < problems.size() && i < 40; ++i) message += "\n  " + problems[i];
  if (problems.size() > 40) message += concat("\n  … and ", problems.size() - 40, " more");
  throw Error(message);
}

}  // namespace pyracast
