#pragma once
// Reads the golden cases of the autoencoders (case.json, weights, inputs, expected) and compares.
#include <gmock/gmock.h>

#include <cmath>

#include "base/json.hpp"
#include "nn/weights.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

inline Backend& cpu() {
  static const std::unique_ptr<Backend> backend = make_cpu_backend();
  return *backend;
}

/// What a network showed, in its order.
struct Shown {
  std::vector<std::pair<std::string, Tensor>> tensors;

  void add(const std::string& name, const Tensor& value) { tensors.emplace_back(name, value); }
  Observer observer() {
    return Observer([this](const std::string& name, const Tensor& value) { add(name, value); });
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& shown : tensors) names.push_back(shown.first);
    return names;
  }
};

class GoldenCase {
 public:
  explicit GoldenCase(const std::filesystem::path& folder)
      : folder_(folder), json_(read_json(folder / "case.json")),
        inputs_(read_safetensors(folder / "inputs.safetensors")),
        expected_(read_safetensors(folder / "expected.safetensors")) {}

  const Json& json() const { return json_; }
  const Json& config() const { return json_.at("config"); }
  const StoredTensors& expected() const { return expected_; }
  Tensor input(const std::string& name) const {
    return Tensor(cpu(), inputs_.at(name).shape, to_floats(inputs_.at(name)));
  }
  StoredTensors stored_weights() const {
    return read_weights(folder_ / json_.at("weights").at("model").get<std::string>());
  }
  Weights weights(WeightStorage storage = {}) const {
    return Weights(cpu(), stored_weights(), storage, "the case's weights");
  }

  /// Empty when every expected tensor was shown and lies within the tolerance; else what is wrong, first tensor first.
  std::string difference(const Shown& shown) const {
    std::set<std::string> missing;
    for (const auto& [name, stored] : expected_) missing.insert(name);
    for (const auto& [name, value] : shown.tensors)
      if (missing.erase(name))
        if (const std::string problem = difference(name, value); !problem.empty()) return problem;
    return missing.empty() ? "" : *missing.begin() + " was not shown";
  }

 private:
  std::filesystem::path folder_;
  Json json_;
  StoredTensors inputs_, expected_;

  std::string difference(const std::string& name, const Tensor& value) const {
    const StoredTensor& stored = expected_.at(name);
    if (value.shape() != stored.shape) return concat(name, " is ", value.shape(), ", expected ", stored.shape);
    const double atol = json_.at("tolerance").at("atol"), rtol = json_.at("tolerance").at("rtol");
    const std::vector<float> found = value.to_host(), wanted = to_floats(stored);
    for (size_t i = 0; i < wanted.size(); ++i)
      if (!(std::abs(found[i] - wanted[i]) <= atol + rtol * std::abs(wanted[i])))
        return concat(name, " differs at element ", i, ": ", found[i], ", expected ", wanted[i]);
    return "";
  }
};

}  // namespace pyracast
