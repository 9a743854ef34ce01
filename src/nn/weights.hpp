#pragma once
#include <optional>
#include <set>

#include "base/weight_file.hpp"
#include "nn/shared_weights.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// How weights are kept in memory: `dtype` float32 or bfloat16; absent: as stored (bfloat16 stays, all else becomes
/// float32). `shared`, where given: matrices, kernels and tables lie there; of back ends in the host's memory only, and needed
/// while weights are read. `products`, on the CPU: how matrices and kernels are packed to be multiplied, in block floating point (int16) or in AMX's
/// tiles; else products there are of float32. `float8`: on a GPU matrices that multiply tokens (Weights::of_tokens) are kept and multiplied so.
struct WeightStorage {
  std::optional<DType> dtype;
  SharedWeights* shared = nullptr;
  std::optional<Packing> products = {};
  bool float8 = false;
};

/// The weights of one network under the checkpoint's own names. The boxes of a model take theirs by name and shape;
/// what is missing or mis-shaped is noted, and finish() reports all of it at once. On a backend that does not compute no value
/// is read but those of numbers().
class Weights {
 public:
  /// `source` names the file or folder in messages.
  Weights(Backend& backend, StoredTensors tensors, WeightStorage storage, std::string source);

  /// Random bfloat16 weights for whatever a network asks for beyond `known`: its speed and memory can be measured
  /// without a snapshot.
  static Weights random(Backend& backend, WeightStorage storage, StoredTensors known = {});

  /// The weights below a name: (weights / "blocks" / 3).tensor("bias", …) is "blocks.3.bias".
  template <class Part>
  Weights operator/(const Part& part) const {
    Weights inner = *this;
    inner.prefix_ = concat(prefix_, part, '.');
    return inner;
  }

  /// The same weights, as ones that multiply tokens: most of a network's work.
  Weights of_tokens() const {
    Weights inner = *this;
    inner.of_tokens_ = true;
    return inner;
  }

  bool has(const std::string& name) const { return contents_->random || contents_->tensors.contains(prefix_ + name); }
  /// In the host's memory, read on every backend; empty where they are missing.
  std::vector<float> numbers(const std::string& name, const Shape& shape) const;
  /// Float32 on the device.
  Tensor tensor(const std::string& name, const Shape& shape) const;
  /// A table of rows in the storage type, for gather_rows.
  Tensor table(const std::string& name, const Shape& shape) const;
  /// A Linear's weight [columns, depth].
  PackedWeights matrix(const std::string& name, int64_t columns, int64_t depth) const;
  /// Linears' weights [columns, depth], one below another, as one [names * columns, depth]; `order` (empty: as they stand) says which of these
  /// rows stands where.
  PackedWeights stacked(const std::vector<std::string>& names, int64_t columns, int64_t depth, const std::vector<int64_t>& order) const;
  /// A convolution's weight; `shape` is the stored [out, in, height, width] or [out, in, time, height, width].
  PackedWeights kernel(const std::string& name, const Shape& shape, const ConvolutionGeometry& geometry) const;
  /// Says that a stored tensor is known and not needed.
  void ignore(const std::string& name) const;
  /// The same of all tensors whose names begin so.
  void ignore_all(const std::string& beginning) const;

  Backend& backend() const { return *contents_->backend; }
  /// All tensors under their whole names; of random weights those that a network has asked for so far.
  const StoredTensors& stored() const { return contents_->tensors; }
  /// Bytes that those taken so far are kept in.
  size_t bytes() const { return contents_->bytes; }
  /// Throws Error that lists every missing, mis-shaped and left-over tensor of the whole network, if there is one.
  void finish() const;

 private:
  struct Contents {
    Backend* backend;
    StoredTensors tensors;
    WeightStorage storage;
    std::string source;
    std::set<std::string> taken;
    std::vector<std::string> problems;
    bool random = false;
    size_t bytes = 0;
  };
  std::shared_ptr<Contents> contents_;
  std::string prefix_;
  bool of_tokens_ = false;

  const StoredTensor* take(const std::string& name, const Shape& shape) const;
  std::vector<float> values(const StoredTensor& stored) const;
  Tensor on_device(const StoredTensor& stored, const Shape& shape, DType dtype) const;
  Tensor on_device(const std::vector<float>& values, const Shape& shape, DType dtype) const;
  DType table_dtype(const StoredTensor& stored) const;
  Packing kernel_packing(const StoredTensor& stored) const;
  Packing matrix_packing(const StoredTensor& stored, int64_t columns, int64_t depth) const;
  PackedWeights packed(const std::string& name, const StoredTensor& stored, Packing packing, int64_t columns, int64_t depth,
                       const std::function<Tensor()>& published) const;
  WeightBlock shared(const std::string& use, const std::string& name, const StoredTensor& stored, DType dtype,
                     const std::function<WeightBlock()>& make) const;
};

/// The stored numbers as float32 (exact for all types but float64 and int64).
std::vector<float> to_floats(const StoredTensor& stored);

}  // namespace pyracast
