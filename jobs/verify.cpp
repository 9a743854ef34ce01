// `pyracast verify`: whether a dataset is whole, from its files alone.
#include <cstdio>
#include <thread>

#include "base/config.hpp"
#include "base/share.hpp"
#include "dataset/folder_lock.hpp"
#include "jobs/jobs.hpp"
#include "report/verification_table.hpp"
#include "runtime/step_lines.hpp"
#include "settings/open_backend.hpp"

namespace pyracast {

namespace {

struct VerifySettings {
  std::filesystem::path config, output, prompts;
  std::string videos = "all";
  int threads = 0;
  bool put_aside = false, json = false;

  template <class Visit>
  static void fields(Visit&& visit, VerifySettings& s) {
    visit("Verify", "config", s.config, "file of `key = value` settings");
    visit("Verify", "output", s.output, "folder of the dataset");
    visit("Verify", "prompts", s.prompts, "manifest that it must be whole for; default: the one that its last run kept in work/");
    visit("Verify", "videos", s.videos, "how many are hashed and decoded: all, none, or e.g. 5% (the same ones each time)");
    visit("Verify", "threads", s.threads, "threads that hash and decode; 0: the cores there are");
    visit("Verify", "put-aside", s.put_aside,
          "move what is damaged or stray to quarantine/, so that the same generate command makes it again");
    visit("Verify", "json", s.json, "findings as JSON (the first 10,000)");
  }
};

double videos_percent(const std::string& text) {
  if (text == "all") return 100;
  if (text == "none") return 0;
  return percent_of(text, "videos", "all, none or a percentage like 5%");
}

}  // namespace

int verify_dataset(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast verify --output DIR [settings]\n\nEnds with 0: whole; 3: whole, some samples failed; 75: more to do; "
                "4: something is damaged, missing, double or stray.\n\n%s", describe(settings_of<VerifySettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<VerifySettings>(argc, argv);
  require(!settings.output.empty(), "which dataset to verify is not known: give --output DIR");
  check_threads(settings.threads);
  const int threads = settings.threads > 0 ? settings.threads : int(std::max(1u, std::thread::hardware_concurrency()));
  const Verification found = verify({settings.output, settings.prompts, videos_percent(settings.videos), threads}, StepLines());
  if (settings.json) std::printf("%s\n", verification_json(found).dump(1).c_str());
  else std::printf("%s", verification_table(found).c_str());
  if (settings.put_aside && !found.findings.empty()) {
    const FolderLock lock(settings.output);
    for (const std::string& line : put_aside(found)) std::fprintf(stderr, "%s\n", line.c_str());
  }
  return int(found.code());
}

}  // namespace pyracast
