#include <cstdio>

#include "jobs/jobs.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

/// Runs one case and prints what differs; the first line that differs is where to look.
bool passes(const Case& parity_case, bool verbose) {
  const std::vector<Comparison> lines = compare(parity_case, run_case(parity_case));
  bool passed = true;
  double largest = 0;
  for (const Comparison& line : lines) {
    largest = std::max(largest, line.max_absolute);
    if (verbose || !line.problem.empty())
      std::printf("  %s %s: max abs %.3g, max rel %.3g%s%s\n", line.problem.empty() ? "ok  " : "DIFF", line.name.c_str(),
                  line.max_absolute, line.max_relative, line.problem.empty() ? "" : "; ", line.problem.c_str());
    passed = passed && line.problem.empty();
  }
  std::printf("%s %s (%zu compared, max abs %.3g)\n", passed ? "PASS" : "FAIL", parity_case.name().c_str(), lines.size(), largest);
  return passed;
}

}  // namespace

int parity(int argc, char** argv) {
  const auto backend = make_cpu_backend();
  int failed = 0, cases = 0;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "-v") {
      verbose = true;
      continue;
    }
    ++cases;
    try {
      if (!passes(Case(argv[i], *backend), verbose)) ++failed;
    } catch (const std::exception& error) {
      std::printf("FAIL %s: %s\n", argv[i], error.what());
      ++failed;
    }
  }
  std::printf("%d cases, %d failed\n", cases, failed);
  require(cases > 0, "parity: no case given; usage: pyracast parity [-v] CASE...");
  return failed ? 1 : 0;
}

}  // namespace pyracast
