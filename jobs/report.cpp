// `pyracast report`: a page about a dataset, and its card.
#include <cstdio>
#include <filesystem>

#include "base/config.hpp"
#include "base/file.hpp"
#include "jobs/jobs.hpp"
#include "report/dataset_card.hpp"
#include "report/dataset_page.hpp"
#include "runtime/step_lines.hpp"

namespace pyracast {

namespace {

struct ReportSettings {
  std::filesystem::path config, output, html;
  int64_t clips = 24;
  bool card = true;

  template <class Visit>
  static void fields(Visit&& visit, ReportSettings& s) {
    visit("Report", "config", s.config, "file of `key = value` settings");
    visit("Report", "output", s.output, "folder of the dataset, as `pyracast generate` was given it");
    visit("Report", "html", s.html, "the page; default: report.html in the dataset's folder");
    visit("Report", "clips", s.clips, "videos on the contact sheet, and likewise of those with a quality flag");
    visit("Report", "card", s.card, "write the dataset's card, README.md, unless there is one that is the user's own");
  }
};

bool is_the_users(const std::filesystem::path& card) {
  return std::filesystem::exists(card) && read_file(card).find(card_mark) == std::string::npos;
}

}  // namespace

int report(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast report --output DIR [--html FILE] [settings]\n\n%s", describe(settings_of<ReportSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<ReportSettings>(argc, argv);
  require(!settings.output.empty(), "which dataset to report on is not known: give --output DIR");
  require(settings.clips >= 0, "clips is ", settings.clips, ", expected 0 or more");
  const DatasetSummary summary = summarize_dataset(settings.output, size_t(settings.clips), size_t(settings.clips), StepLines());
  const auto page = settings.html.empty() ? settings.output / "report.html" : settings.html;
  write_atomically(page, dataset_page(summary));
  std::printf("%s\n", page.c_str());
  if (!settings.card) return 0;
  const auto card = settings.output / "README.md";
  if (is_the_users(card)) {
    std::fprintf(stderr, "pyracast: %s was left as it is: it does not say that pyracast wrote it\n", card.c_str());
    return 0;
  }
  try {
    write_atomically(card, dataset_card(summary));
  } catch (const Error& error) {
    if (settings.html.empty()) throw;   // else the page is there, and the dataset may be one that is only read
    std::fprintf(stderr, "pyracast: the card was not written: %s\n", error.what());
    return 0;
  }
  std::printf("%s\n", card.c_str());
  return 0;
}

}  // namespace pyracast
