#include "base/torch_random.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

DType dtype_named(const std::string& name, const std::string& where) {
  for (const DType type : {DType::float32, DType::bfloat16, DType::float16})
    if (name == name_of(type)) return type;
  fail(where, ": the type \"", name, "\" is not known, expected float32, bfloat16 or float16");
}

std::vector<int64_t> widened(std::span<const uint32_t> words) { return {words.begin(), words.end()}; }

}  // namespace

void run_noise_torch(const Case& c, Results& results) {
  for (const uint64_t seed : value<std::vector<uint64_t>>(c.call(), "seeds", c.where()))
    for (const std::string& type : value<std::vector<std::string>>(c.call(), "dtypes", c.where()))
      for (const Shape& shape : value<std::vector<Shape>>(c.call(), "shapes", c.where())) {
        std::vector<float> values(size_t(size_of(shape)));
        TorchGenerator(seed).randn(values, dtype_named(type, c.where()));
        std::string sizes;
        for (const int64_t size : shape) sizes += (sizes.empty() ? "" : "x") + std::to_string(size);
        results.add(concat("seed", seed, '.', type, '.', sizes), shape, values);
      }
}

void run_noise_torch_calls(const Case& c, Results& results) {
  for (const uint64_t seed : value<std::vector<uint64_t>>(c.call(), "seeds", c.where())) {
    TorchGenerator fresh(seed), generator(seed);
    std::vector<uint32_t> words(700);
    for (uint32_t& word : words) word = fresh.next_u32();
    results.add_integers(concat("seed", seed, ".mt19937_u32"), {700}, widened(words));
    size_t index = 0;
    for (const Json& call : c.call().at("calls")) {
      std::vector<float> values(call.at(1).get<size_t>());
      const auto function = call.at(0).get<std::string>();
      require(function == "randn" || function == "rand", c.where(), ": the function \"", function, "\" is not known");
      if (function == "rand")
        generator.rand(values);
      else
        generator.randn(values, dtype_named(call.at(2).get<std::string>(), c.where()));
      results.add(concat("seed", seed, ".call", index++), {int64_t(values.size())}, values);
    }
  }
}

void run_noise_philox(const Case& c, Results& results) {
  int index = 0;
  for (const Json& one : c.call().at("cases")) {
    TorchCudaGenerator generator(value<uint64_t>(one, "seed", c.where()),
                                 {value<int>(one, "sm_count", c.where()), value<int>(one, "max_threads_per_sm", c.where())},
                                 value<uint64_t>(one, "offset", c.where()));
    std::vector<float> values(value<size_t>(one, "numel", c.where()));
    generator.randn(values);
    const uint64_t grown = generator.offset() - value<uint64_t>(one, "offset", c.where());
    require(grown == value<uint64_t>(one, "offset_increment", c.where()), c.where(), ": case ", index,
            " moves the generator's offset by ", grown, ", expected ", one.at("offset_increment").dump());
    results.add(concat("case", index++, ".values"), {int64_t(values.size())}, values);
  }
  // Known answers: the case's own counters and keys.
  const auto block = [&](const char* name, const std::vector<int64_t>& counters, size_t row, PhiloxKey key) {
    require(counters.size() >= 4 * (row + 1), c.where(), ": ", name, " has too few numbers");
    PhiloxCounter counter;
    for (size_t i = 0; i < 4; ++i) counter[i] = uint32_t(counters[4 * row + i]);
    return philox4x32(counter, key);
  };
  const auto counters = c.expected_integers("kat.counter"), keys = c.expected_integers("kat.key");
  std::vector<int64_t> outputs;
  for (size_t row = 0; row < counters.size() / 4; ++row)
    for (const uint32_t word : block("kat.counter", counters, row, {uint32_t(keys.at(2 * row)), uint32_t(keys.at(2 * row + 1))}))
      outputs.push_back(word);
  const int64_t answers = int64_t(counters.size() / 4);
  results.add_integers("kat.counter", {answers, 4}, counters);
  results.add_integers("kat.key", {answers, 2}, keys);
  results.add_integers("kat.output", {answers, 4}, outputs);

  const auto key = value<std::vector<uint32_t>>(c.call(), "random_key", c.where());
  const auto random = c.expected_integers("random.counter");
  std::vector<int64_t> words;
  std::vector<float> normals;
  for (size_t row = 0; row < random.size() / 4; ++row) {
    const PhiloxCounter output = block("random.counter", random, row, {key.at(0), key.at(1)});
    words.insert(words.end(), output.begin(), output.end());
    for (const float normal : TorchCudaGenerator::normals(output)) normals.push_back(normal);
  }
  const int64_t rows = int64_t(random.size() / 4);
  results.add_integers("random.counter", {rows, 4}, random);
  results.add_integers("random.output", {rows, 4}, words);
  results.add("random.normal4", {rows, 4}, normals);
}

}  // namespace pyracast
