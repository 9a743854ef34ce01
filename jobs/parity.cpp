#include <cstdio>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "base/stopwatch.hpp"
#include "jobs/jobs.hpp"
#include "parity/components.hpp"
#include "settings/open_backend.hpp"

namespace pyracast {

namespace {

constexpr const char* usage =
    "usage: pyracast parity [options] CASE...\n\n"
    "  -v                      every tensor, not only those that differ\n"
    "  --device cpu|cuda       where to compute\n"
    "  --dtype float32|bfloat16|bfp16|amx|fp8|auto  what is computed in, as generate's: on the CPU float32, or products in block floating\n"
    "                         point or AMX's bfloat16; on a GPU float32, bfloat16, or blocks of transformers in fp8\n"
    "  --gpu-attention auto|cudnn|own  what long self attentions in bfloat16 run by on a GPU\n"
    "  --tolerance-factor X    times each case's tolerance\n"
    "  --relative-error X      of each whole tensor, |found - expected| / |expected|, in place of the case's tolerance\n"
    "  --json FILE             a line of JSON a case\n";

struct ParityOptions {
  bool verbose = false;
  std::string device = "cpu", dtype = "float32", gpu_attention = "auto", json;
  Allowance allowance;
  std::vector<std::string> cases;
};

double number(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  require(!text.empty() && !*end && value > 0, "parity: ", option, " is \"", text, "\", expected a number over 0");
  return value;
}

ParityOptions options_of(int argc, char** argv) {
  ParityOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto next = [&] {
      require(i + 1 < argc, "parity: ", word, " needs a value\n", usage);
      return std::string(argv[++i]);
    };
    if (word == "-v") options.verbose = true;
    else if (word == "--device") options.device = next();
    else if (word == "--dtype") options.dtype = next();
    else if (word == "--gpu-attention") options.gpu_attention = next();
    else if (word == "--tolerance-factor") options.allowance.tolerance_factor = number(word, next());
    else if (word == "--relative-error") options.allowance.relative_error = number(word, next());
    else if (word == "--json") options.json = next();
    else if (word.starts_with("-")) fail("parity: the option ", word, " does not exist\n", usage);
    else options.cases.push_back(word);
  }
  require(!options.cases.empty(), "parity: no case given\n", usage);
  return options;
}

/// Runs one case and prints what differs; the first line that differs is where to look.
Json run(const Case& parity_case, const ParityOptions& options) {
  const Stopwatch time;
  const std::vector<Comparison> lines = compare(parity_case, run_case(parity_case), options.allowance);
  bool passed = true;
  double largest = 0, largest_error = 0;
  for (const Comparison& line : lines) {
    largest = std::max(largest, line.max_absolute);
    largest_error = std::max(largest_error, line.relative_error);
    if (options.verbose || !line.problem.empty())
      std::printf("  %s %s: max abs %.3g, max rel %.3g, of the norm %.3g%s%s\n", line.problem.empty() ? "ok  " : "DIFF", line.name.c_str(),
                  line.max_absolute, line.max_relative, line.relative_error, line.problem.empty() ? "" : "; ", line.problem.c_str());
    passed = passed && line.problem.empty();
  }
  std::printf("%s %s (%zu compared, max abs %.3g)\n", passed ? "PASS" : "FAIL", parity_case.name().c_str(), lines.size(), largest);
  return {{"case", parity_case.name()}, {"passed", passed}, {"compared", lines.size()}, {"max_absolute", largest},
          {"relative_error", largest_error}, {"seconds", time.seconds()}};
}

}  // namespace

int parity(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("%s", usage);
    return 0;
  }
  const ParityOptions options = options_of(argc, argv);
  const auto backend = open_backend(options.device, options.dtype, CpuIsa::automatic, gpu_attention_of(options.gpu_attention));
  const WeightStorage products = weight_storage(options.device, options.dtype, CpuIsa::automatic);
  std::string report;
  int failed = 0;
  for (const std::string& folder : options.cases) {
    Json row;
    try {
      row = run(Case(folder, *backend, products), options);
    } catch (const std::exception& error) {
      std::printf("FAIL %s: %s\n", folder.c_str(), error.what());
      row = {{"case", folder}, {"passed", false}, {"problem", error.what()}};
    }
    std::fflush(stdout);
    failed += !row.at("passed").get<bool>();
    report += row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  std::printf("%s on %s, %d failed\n", counted(options.cases.size(), "case").c_str(), backend->name().c_str(), failed);
  if (!options.json.empty()) write_atomically(options.json, report);
  return failed ? 1 : 0;
}

}  // namespace pyracast
