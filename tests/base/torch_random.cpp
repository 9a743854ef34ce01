// Held against the numbers of PyTorch itself in tests/golden/noise.
#include "base/torch_random.hpp"

#include "base/json.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

struct Case {
  Json call, tolerance;
  StoredTensors expected;
};

Case read_case(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(TESTS_DIR) / "golden/noise" / name;
  const Json json = read_json(folder / "case.json");
  return {json["call"], json["tolerance"], read_weights(folder / json["expected"].get<std::string>())};
}

/// Compares as tests/golden's cases say: |value - expected| <= atol + rtol * |expected|.
void expect_close(const std::vector<float>& values, const StoredTensor& tensor, double atol, double rtol,
                  const std::string& what) {
  const auto expected = elements<float>(tensor);
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_LE(std::abs(values[i] - expected[i]), atol + rtol * std::abs(expected[i]))
        << what << "[" << i << "] is " << values[i] << ", expected " << expected[i];
}

DType dtype_of(const std::string& name) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16})
    if (name == name_of(dtype)) return dtype;
  fail("unknown type ", name);
}

/// Room for one step of the type.
double relative_tolerance(DType dtype) { return dtype == DType::bfloat16 ? .0079 : dtype == DType::float16 ? .001 : 0; }

template <class Count>
PhiloxCounter counter_at(const std::vector<int64_t>& values, Count row) {
  return {uint32_t(values[4 * row]), uint32_t(values[4 * row + 1]), uint32_t(values[4 * row + 2]),
          uint32_t(values[4 * row + 3])};
}

TEST(TorchGenerator, GivesTheNormalValuesOfPyTorch) {
  const Case golden = read_case("torch_cpu_randn");
  size_t compared = 0;
  for (const uint64_t seed : golden.call["seeds"])
    for (const std::string type : golden.call["dtypes"])
      for (const std::vector<int64_t> shape : golden.call["shapes"]) {
        std::string name = concat("seed", seed, ".", type, ".", shape[0]);
        for (size_t axis = 1; axis < shape.size(); ++axis) name += concat("x", shape[axis]);
        const StoredTensor& expected = golden.expected.at(name);
        std::vector<float> values(expected.bytes.size() / 4);
        TorchGenerator(seed).randn(values, dtype_of(type));
        expect_close(values, expected, 4e-6, relative_tolerance(dtype_of(type)), name);
        ++compared;
      }
  EXPECT_EQ(compared, golden.expected.size());
}

TEST(TorchGenerator, CarriesItsStateOverCallsAsPyTorchDoes) {
  const Case golden = read_case("torch_cpu_consecutive");
  for (const uint64_t seed : golden.call["seeds"]) {
    TorchGenerator integers(seed);
    for (const int64_t expected : elements<int64_t>(golden.expected.at(concat("seed", seed, ".mt19937_u32"))))
      ASSERT_EQ(integers.next_u32(), expected);
    TorchGenerator generator(seed);
    for (size_t i = 0; i < golden.call["calls"].size(); ++i) {
      const Json& call = golden.call["calls"][i];
      std::vector<float> values(call[1].get<size_t>());
      const DType dtype = dtype_of(call[2]);
      call[0] == "rand" ? generator.rand(values) : generator.randn(values, dtype);
      const std::string name = concat("seed", seed, ".call", i);
      expect_close(values, golden.expected.at(name), 4e-6, relative_tolerance(dtype), name);
    }
  }
}

TEST(TorchGenerator, RefusesOtherTypes) {
  std::vector<float> values(3);
  EXPECT_THAT(error_of([&] { TorchGenerator(1).randn(values, DType::float64); }), testing::HasSubstr("float64"));
}

TEST(TorchCudaGenerator, GivesTheValuesOfAGpuOfAnySize) {
  const Case golden = read_case("philox_cuda");
  const Json& cases = golden.call["cases"];
  ASSERT_FALSE(cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json& c = cases[i];
    TorchCudaGenerator generator(c["seed"], {c["sm_count"], c["max_threads_per_sm"]}, c["offset"]);
    std::vector<float> values(c["numel"].get<size_t>());
    generator.randn(values);
    expect_close(values, golden.expected.at(concat("case", i, ".values")), 1e-4, 1e-5, concat("case ", i));
    EXPECT_EQ(generator.offset(), c["offset"].get<uint64_t>() + c["offset_increment"].get<uint64_t>());
  }
}

TEST(TorchCudaGenerator, UsesPhiloxAsPublished) {
  const Case golden = read_case("philox_cuda");
  const auto counters = elements<int64_t>(golden.expected.at("kat.counter"));
  const auto keys = elements<int64_t>(golden.expected.at("kat.key"));
  const auto outputs = elements<int64_t>(golden.expected.at("kat.output"));
  for (size_t row = 0; row < counters.size() / 4; ++row)
    EXPECT_EQ(philox4x32(counter_at(counters, row), {uint32_t(keys[2 * row]), uint32_t(keys[2 * row + 1])}),
              counter_at(outputs, row));
  const PhiloxKey key{golden.call["random_key"][0], golden.call["random_key"][1]};
  const auto random = elements<int64_t>(golden.expected.at("random.counter"));
  const auto words = elements<int64_t>(golden.expected.at("random.output"));
  std::vector<float> normals;
  for (size_t row = 0; row < random.size() / 4; ++row) {
    EXPECT_EQ(philox4x32(counter_at(random, row), key), counter_at(words, row));
    for (const float value : TorchCudaGenerator::normals(counter_at(words, row))) normals.push_back(value);
  }
  expect_close(normals, golden.expected.at("random.normal4"), 1e-4, 1e-5, "random.normal4");
}

TEST(TorchCudaGenerator, RefusesAGpuWithoutASize) {
  EXPECT_THAT(error_of([] { TorchCudaGenerator(1, {}); }), testing::HasSubstr("needs a GPU's size"));
}

}  // namespace
}  // namespace pyracast
