#pragma once
// A parity case: a folder with numbers that a published implementation made (case.json, inputs, expected, weights).
#include "base/json.hpp"
#include "nn/weights.hpp"
#include "pab/broadcast_schedule.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// A parity case as read from its folder.
class Case {
 public:
  /// `products`: what matrices are kept and multiplied in; all other weights are float32.
  Case(const std::filesystem::path& folder, Backend& backend, WeightStorage products = {});

  const std::filesystem::path& folder() const { return folder_; }
  std::string name() const { return folder_.filename().string(); }
  std::string component() const { return value<std::string>(json_, "component", where()); }
  std::string where() const { return (folder_ / "case.json").string(); }
  const Json& config() const { return json_.at("config"); }
  const Json& call() const { return json_.at("call"); }
  /// A part of a pipeline's config: inline, or a path to a JSON file relative to the case.
  Json config_part(const char* part) const;
  /// A path given in the config, relative to the case.
  std::filesystem::path config_path(const char* part) const;

  bool has_input(const std::string& name) const { return inputs_.contains(name); }
  const Shape& input_shape(const std::string& name) const { return stored(name).shape; }
  /// An input as it lies in the file. Throws Error where there is none of this name.
  const StoredTensor& stored(const std::string& name) const;
  Tensor input(const std::string& name) const;
  std::vector<float> input_floats(const std::string& name) const;
  std::vector<int64_t> input_integers(const std::string& name) const;

  bool has_weights(const char* role) const { return json_.contains("weights") && json_.at("weights").contains(role); }
  /// Float32 weights of a role ("model", "transformer", …).
  Weights weights(const char* role) const;
  Backend& backend() const { return backend_; }

  /// Whether the expectation is a JSON file, and that JSON.
  bool expects_json() const;
  Json expected_json() const;
  StoredTensors expected_tensors() const;
  /// Numbers of the expectation that are the computation's arguments (counters and keys of random numbers).
  std::vector<int64_t> expected_integers(const std::string& name) const;

  struct Tolerance {
    double atol = 0, rtol = 0;
    bool overridden = false;
  };
  Tolerance tolerance(const std::string& tensor) const;

 private:
  std::filesystem::path folder_;
  Backend& backend_;
  WeightStorage products_;
  Json json_;
  StoredTensors inputs_;
};

/// Tensors of one shape along a new first axis.
Tensor stacked(const std::vector<Tensor>& parts);

/// What a component computed, in the order of computation.
class Results {
 public:
  void add(const std::string& name, const Tensor& value) { add(name, value.shape(), value.to_host()); }
  void add(const std::string& name, Shape shape, std::vector<float> values);
  /// What the case also gives as an input, computed here from others of its inputs: it is held against that.
  void add_given(const std::string& name, const Tensor& value);
  void add_integers(const std::string& name, Shape shape, std::vector<int64_t> values);
  /// [evaluations, blocks, branches]: 1 where the branch is computed, 0 where it is reused.
  void add_computed(const std::string& name, const BroadcastSchedule& schedule, const std::vector<Branch>& branches);
  void set_json(Json json) { json_ = std::move(json); }
  /// Collects what a network shows, each name with this prefix.
  Observer observer(const std::string& prefix = "");

  struct Entry {
    std::string name;
    Shape shape;
    std::vector<float> floats;
    std::vector<int64_t> integers;
    bool is_integer = false, is_given = false;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(const std::string& name) const;
  const Json& json() const { return json_; }

 private:
  std::vector<Entry> entries_;
  Json json_;
};

/// One line of a report.
struct Comparison {
  std::string name;
  double max_absolute = 0, max_relative = 0;
  double relative_error = 0;   ///< |found - expected| / |expected|, Euclidean norms of the whole tensors
  std::string problem;         ///< empty: within the tolerance
};

/// What a device may differ by. Whole numbers are always compared as the case says.
struct Allowance {
  double tolerance_factor = 1;   ///< times the case's tolerance, element by element
  double relative_error = 0;     ///< over 0: of a whole tensor, in place of that
};

/// Every expected tensor against the results, in the order of computation; for JSON, every differing value.
std::vector<Comparison> compare(const Case& parity_case, const Results& results, const Allowance& allowance = {});

}  // namespace pyracast
