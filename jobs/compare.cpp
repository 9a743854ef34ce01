// `pyracast compare A B`: two runs of one manifest, say without and with broadcasting.
#include <cstdio>
#include <filesystem>

#include "base/config.hpp"
#include "base/file.hpp"
#include "jobs/jobs.hpp"
#include "report/comparison_page.hpp"
#include "runtime/step_lines.hpp"

namespace pyracast {

namespace {

struct CompareSettings {
  std::filesystem::path config, output = "comparison", lpips_backbone, lpips_heads;
  int64_t clips = 12;

  template <class Visit>
  static void fields(Visit&& visit, CompareSettings& s) {
    visit("Compare", "config", s.config, "file of `key = value` settings");
    visit("Compare", "output", s.output, "folder of compare.json and compare.html");
    visit("Compare", "clips", s.clips, "clips shown side by side, the least alike ones");
    visit("Compare", "lpips-backbone", s.lpips_backbone, "torchvision's weights of AlexNet or VGG16 (a state dict); with lpips-heads: "
          "LPIPS is computed");
    visit("Compare", "lpips-heads", s.lpips_heads, "the package lpips' weights that belong to them (weights/v0.1/alex.pth or vgg.pth)");
  }
};

std::optional<Lpips> read_lpips(const CompareSettings& s, Backend& backend) {
  require(s.lpips_backbone.empty() == s.lpips_heads.empty(), "LPIPS needs both --lpips-backbone and --lpips-heads: one of them was given");
  if (s.lpips_heads.empty()) return std::nullopt;
  const auto open = [&](const std::filesystem::path& path) { return Weights(backend, read_weights(path), {DType::float32}, path.string()); };
  const Weights backbone = open(s.lpips_backbone), heads = open(s.lpips_heads);
  std::optional<Lpips> lpips(std::in_place, backbone, heads);
  for (const char* layer : {"0", "1", "3", "4", "6"})   // torchvision's classifier, of which LPIPS has no use
    for (const char* part : {"weight", "bias"}) backbone.ignore(concat("classifier.", layer, '.', part));
  backbone.finish();
  heads.finish();
  return lpips;
}

}  // namespace

int compare(int argc, char** argv) {
  const std::string usage = "usage: pyracast compare A B [settings]   (A, B: --output folders of two runs of one manifest)\n";
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("%s\nEnds with 0: all samples of both were compared; 4: some could not be read or were of different sizes, and are named.\n\n%s",
                usage.c_str(), describe(settings_of<CompareSettings>()).c_str());
    return 0;
  }
  require(argc > 2 && argv[1][0] != '-' && argv[2][0] != '-', usage);
  const std::filesystem::path a = argv[1], b = argv[2];
  const auto settings = read_config<CompareSettings>(argc - 2, argv + 2);
  require(settings.clips >= 0, "clips is ", settings.clips, ", expected 0 or more");
  const auto backend = make_cpu_backend();
  const auto lpips = read_lpips(settings, *backend);
  ComparisonFile file(settings.output / "compare.json");
  constexpr size_t samples_of_page = 500;   // a page, not a database: compare.json has all
  const DatasetComparison comparison =
      compare_datasets(a, b, *backend, {.lpips = lpips ? &*lpips : nullptr, .worst = std::max(samples_of_page, size_t(settings.clips)),
                                        .each = [&](const SampleComparison& sample) { file.add(sample); }, .tell = StepLines()});
  std::printf("%s", comparison_table(comparison).c_str());
  file.finish(comparison);
  write_atomically(settings.output / "compare.html", comparison_page(comparison, size_t(settings.clips)));
  std::printf("\n%s\n", (settings.output / "compare.html").c_str());
  return int(comparison.not_comparable.count ? ExitCode::damaged : ExitCode::complete);
}

}  // namespace pyracast
