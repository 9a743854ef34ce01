// Every golden case on the GPU, in float32 (TF32 off) at four times the case's tolerance; those of networks also in
// bfloat16 and with float8 products, within a bound on each whole tensor.
#include <gtest/gtest.h>

#include "parity/case_reference.hpp"
#include "parity/components.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

/// Of a tensor's norm. bfloat16 keeps 8 bits: single products are off by 2e-3 to 4e-3, networks of many blocks by some
/// times that.
constexpr double bfloat16_error = 0.05;
/// float8 keeps 4: single products of scaled rows are off by 3e-2 to 4e-2.
constexpr double float8_error = 0.1;

class GpuCase : public testing::Test {
 public:
  GpuCase(fs::path folder, CudaPrecision precision, bool float8) : folder_(std::move(folder)), precision_(precision), float8_(float8) {}

  void TestBody() override {
    std::unique_ptr<Backend> backend;
    try {
      backend = make_cuda_backend(0, precision_);
    } catch (const Error& absence) {
      if (!visible_gpus().empty()) throw;
      GTEST_SKIP() << absence.what();
    }
    if (float8_ && !backend->name().starts_with("cuda-sm9")) GTEST_SKIP() << backend->name() << " has no scales for rows of float8";
    const Case parity_case(folder_, *backend, {.float8 = float8_});
    if (parity_case.call().contains("reference_path") && !reads_pictures()) GTEST_SKIP() << "this build reads no pictures";
    if (precision_ == CudaPrecision::bfloat16 && parity_case.component().starts_with("pipeline_"))
      GTEST_SKIP() << "a whole pipeline is held against its numbers in float32: in bfloat16 each step's error goes into the next";
    const Allowance allowance = precision_ == CudaPrecision::float32 ? Allowance{4, 0} : Allowance{1, float8_ ? float8_error : bfloat16_error};
    for (const Comparison& line : compare(parity_case, run_case(parity_case), allowance))
      ASSERT_EQ(line.problem, "") << line.name << " is the first that differs";
  }

 private:
  fs::path folder_;
  CudaPrecision precision_;
  bool float8_;
};

void register_cases(const fs::path& root, const std::string& set, CudaPrecision precision, bool float8 = false) {
  for (const char* family : {"opensora", "noise", "latte", "open-sora-plan", "metrics"}) {
    if (!fs::is_directory(root / family)) continue;
    for (const auto& entry : fs::directory_iterator(root / family)) {
      const fs::path folder = entry.path();
      if (!fs::exists(folder / "case.json")) continue;
      testing::RegisterTest(set.c_str(), concat(family, '_', folder.filename().string()).c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [folder, precision, float8]() -> testing::Test* { return new GpuCase(folder, precision, float8); });
    }
  }
}

}  // namespace
}  // namespace pyracast

int main(int argc, char** argv) {
  using pyracast::CudaPrecision;
  testing::InitGoogleTest(&argc, argv);
  pyracast::register_cases(TESTS_DIR "/golden", "GpuGolden", CudaPrecision::float32);
  pyracast::register_cases(TESTS_DIR "/golden", "GpuGoldenBfloat16", CudaPrecision::bfloat16);
  pyracast::register_cases(TESTS_DIR "/golden", "GpuGoldenFloat8", CudaPrecision::bfloat16, true);
  pyracast::register_cases(SHARED_DIR "/goldens", "GpuSharedGolden", CudaPrecision::float32);
  return RUN_ALL_TESTS();
}
