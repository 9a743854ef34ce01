// One test a case: every folder of tests/golden, and what the full set has besides where it lies beside the checkout. Adding a
// case adds a folder.
#include <gtest/gtest.h>

#include <set>

#include "parity/case_reference.hpp"
#include "parity/components.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

class GoldenCase : public testing::Test {
 public:
  explicit GoldenCase(fs::path folder) : folder_(std::move(folder)) {}

  void TestBody() override {
    const auto backend = make_cpu_backend();
    const Case parity_case(folder_, *backend);
    if (parity_case.call().contains("reference_path") && !reads_pictures()) GTEST_SKIP() << "this build reads no pictures";
    for (const Comparison& line : compare(parity_case, run_case(parity_case)))
      ASSERT_EQ(line.problem, "") << line.name << " is the first that differs";
  }

 private:
  fs::path folder_;
};

const fs::path own = TESTS_DIR "/golden";

void register_cases(const fs::path& root, const std::string& set, const std::set<std::string>& families) {
  for (const std::string& family : families) {
    if (!fs::is_directory(root / family)) continue;
    for (const auto& entry : fs::directory_iterator(root / family)) {
      const fs::path folder = entry.path();
      if (!fs::exists(folder / "case.json")) continue;
      if (root != own && fs::exists(own / family / folder.filename())) continue;
      testing::RegisterTest(set.c_str(), (family + "_" + folder.filename().string()).c_str(), nullptr, nullptr, __FILE__,
                            __LINE__, [folder]() -> testing::Test* { return new GoldenCase(folder); });
    }
  }
}

}  // namespace
}  // namespace pyracast

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  pyracast::register_cases(pyracast::own, "Golden", {"opensora", "noise", "latte", "open-sora-plan", "metrics"});
  pyracast::register_cases(SHARED_DIR "/goldens", "SharedGolden", {"opensora", "noise", "metrics", "latte", "open-sora-plan"});
  return RUN_ALL_TESTS();
}
