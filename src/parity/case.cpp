#include "parity/case.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/ops.hpp"

namespace pyracast {

namespace {

std::vector<int64_t> to_integers(const StoredTensor& stored) {
  require(stored.dtype == DType::int64, stored.file, ": expected int64, found ", name_of(stored.dtype));
  std::vector<int64_t> values(stored.bytes.size() / 8);
  std::memcpy(values.data(), stored.bytes.data(), stored.bytes.size());
  return values;
}

/// Whether `name` fits a pattern in which * stands for any characters.
bool matches(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  for (size_t skip = star; skip <= name.size(); ++skip)
    if (matches(pattern.substr(star + 1), name.substr(skip))) return true;
  return false;
}

void compare_json(const std::string& path, const Json& expected, const Json& found, std::vector<Comparison>& out) {
  if (expected.is_object() && found.is_object()) {
    for (const auto& [key, item] : expected.items())
      compare_json(path + "." + key, item, found.contains(key) ? found.at(key) : Json("(missing)"), out);
  } else if (expected.is_array() && found.is_array() && expected.size() == found.size()) {
    for (size_t i = 0; i < expected.size(); ++i) compare_json(concat(path, '[', i, ']'), expected[i], found[i], out);
  } else if (expected != found && !(expected.is_number() && found.is_number() && expected.get<double>() == found.get<double>())) {
    const auto text = [](const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 300); };
    out.push_back({path, 0, 0, 0, "is " + text(found) + ", expected " + text(expected)});
  }
}

Comparison compare_tensor(const std::string& name, const StoredTensor& expected, const Results::Entry* found,
                          const Case::Tolerance& tolerance, const Allowance& allowance) {
  Comparison line{name};
  const bool is_integer = expected.dtype == DType::int64;
  if (!found) {
    line.problem = "was not computed";
  } else if (found->shape != expected.shape) {
    line.problem = concat("has shape ", found->shape, ", expected ", expected.shape);
  } else {
    const bool exact = is_integer && !tolerance.overridden;
    const std::vector<float> floats = is_integer ? std::vector<float>() : to_floats(expected);
    const std::vector<int64_t> integers = is_integer ? to_integers(expected) : std::vector<int64_t>();
    const bool whole = allowance.relative_error > 0 && !is_integer;
    double error = 0, norm = 0;
    size_t wrong = 0;
    const size_t count = size_t(size_of(expected.shape));
    for (size_t i = 0; i < count; ++i) {
      const double want = is_integer ? double(integers[i]) : double(floats[i]);
      const double have = found->is_integer ? double(found->integers[i]) : double(found->floats[i]);
      const double difference = std::abs(have - want);
      const double factor = is_integer ? 1 : allowance.tolerance_factor;
      const double allowed = exact ? 0 : factor * (tolerance.atol + tolerance.rtol * std::abs(want));
      error += difference * difference;
      norm += want * want;
      line.max_absolute = std::max(line.max_absolute, difference);
      line.max_relative = std::max(line.max_relative, difference / std::max(std::abs(want), 1e-12));
      if (!whole && !(difference <= allowed)) {
        if (!wrong++) line.problem = concat("first differs at element ", i, ": ", have, ", expected ", want);
      }
    }
    line.relative_error = norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
    if (whole && !(line.relative_error <= allowance.relative_error))
      line.problem = concat("differs by ", line.relative_error, " of its norm, allowed are ", allowance.relative_error);
    if (wrong) line.problem += concat(" (", wrong, " of ", count, " differ)");
  }
  return line;
}

}  // namespace

Case::Case(const std::filesystem::path& folder, Backend& backend, WeightStorage products)
    : folder_(folder), backend_(backend), products_(products) {
  if (!folder_.has_filename()) folder_ = folder_.parent_path();   // a trailing slash
  json_ = read_json(folder_ / "case.json");
  if (!json_.contains("config")) json_["config"] = Json::object();
  if (!json_.contains("call")) json_["call"] = Json::object();
  if (json_.contains("inputs") && json_["inputs"].is_string())
    inputs_ = read_safetensors(folder_ / json_["inputs"].get<std::string>());
}

Json Case::config_part(const char* part) const {
  const Json found = value<Json>(config(), part, where());
  return found.is_string() ? read_json(folder_ / found.get<std::string>()) : found;
}

std::filesystem::path Case::config_path(const char* part) const {
  return folder_ / value<std::string>(config(), part, where());
}

const StoredTensor& Case::stored(const std::string& name) const {
  const auto found = inputs_.find(name);
  require(found != inputs_.end(), folder_.string(), ": the input \"", name, "\" is missing");
  return found->second;
}

Tensor Case::input(const std::string& name) const { return Tensor(backend_, stored(name).shape, input_floats(name)); }

std::vector<float> Case::input_floats(const std::string& name) const { return to_floats(stored(name)); }

std::vector<int64_t> Case::input_integers(const std::string& name) const { return to_integers(stored(name)); }

Weights Case::weights(const char* role) const {
  const auto path = folder_ / value<std::string>(value<Json>(json_, "weights", where()), role, where());
  WeightStorage storage = products_;
  storage.dtype = DType::float32;
  return Weights(backend_, read_weights(path), storage, path.string());
}

bool Case::expects_json() const { return value<std::string>(json_, "expected", where()).ends_with(".json"); }

Json Case::expected_json() const { return read_json(folder_ / json_.at("expected").get<std::string>()); }

StoredTensors Case::expected_tensors() const {
  return read_safetensors(folder_ / json_.at("expected").get<std::string>());
}

std::vector<int64_t> Case::expected_integers(const std::string& name) const {
  const StoredTensors expected = expected_tensors();
  const auto found = expected.find(name);
  require(found != expected.end(), where(), ": \"", name, "\" is missing among the expected tensors");
  return to_integers(found->second);
}

Case::Tolerance Case::tolerance(const std::string& tensor) const {
  const Json given = value<Json>(json_, "tolerance", where());
  if (given.contains("overrides"))
    for (const auto& [pattern, numbers] : given.at("overrides").items())
      if (matches(pattern, tensor))
        return {value_or(numbers, "atol", 0.0, where()), value_or(numbers, "rtol", 0.0, where()), true};
  return {value_or(given, "atol", 0.0, where()), value_or(given, "rtol", 0.0, where()), false};
}

Tensor stacked(const std::vector<Tensor>& parts) {
  std::vector<Tensor> rows;
  for (const Tensor& part : parts) {
    Shape shape = part.shape();
    shape.insert(shape.begin(), 1);
    rows.push_back(part.reshape(shape));
  }
  return concatenate(rows, 0);
}

void Results::add(const std::string& name, Shape shape, std::vector<float> values) {
  entries_.push_back({name, std::move(shape), std::move(values), {}});
}

void Results::add_given(const std::string& name, const Tensor& value) {
  add(name, value);
  entries_.back().is_given = true;
}

void Results::add_integers(const std::string& name, Shape shape, std::vector<int64_t> values) {
  entries_.push_back({name, std::move(shape), {}, std::move(values), true});
}

void Results::add_computed(const std::string& name, const BroadcastSchedule& schedule, const std::vector<Branch>& branches) {
  std::vector<int64_t> computed;
  for (int e = 0; e < schedule.evaluations(); ++e)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : branches) computed.push_back(!schedule.reuses(e, {branch, block}));
  add_integers(name, {schedule.evaluations(), schedule.blocks(), int64_t(branches.size())}, std::move(computed));
}

Observer Results::observer(const std::string& prefix) {
  return Observer([this, prefix](const std::string& name, const Tensor& value) { add(prefix + name, value); });
}

const Results::Entry* Results::find(const std::string& name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

std::vector<Comparison> compare(const Case& parity_case, const Results& results, const Allowance& allowance) {
  std::vector<Comparison> lines;
  if (parity_case.expects_json()) {
    compare_json(parity_case.name(), parity_case.expected_json(), results.json(), lines);
    return lines;
  }
  StoredTensors expected = parity_case.expected_tensors();
  require(!expected.empty(), parity_case.where(), ": nothing is expected");
  const auto check = [&](const std::string& name) {
    lines.push_back(compare_tensor(name, expected.at(name), results.find(name), parity_case.tolerance(name), allowance));
    expected.erase(name);
  };
  for (const Results::Entry& entry : results.entries()) {
    if (entry.is_given) expected.insert_or_assign(entry.name, parity_case.stored(entry.name));
    if (expected.contains(entry.name)) check(entry.name);
  }
  while (!expected.empty()) check(expected.begin()->first);   // never computed
  return lines;
}

}  // namespace pyracast
