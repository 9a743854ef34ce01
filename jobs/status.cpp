// `pyracast status`: how far a dataset is, while its job runs or after it died.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/config.hpp"
#include "jobs/jobs.hpp"
#include "report/status_table.hpp"
#include "runtime/step_lines.hpp"

namespace pyracast {

namespace {

struct StatusSettings {
  std::filesystem::path config, output;
  bool watch = false, json = false;
  double interval = 5;

  template <class Visit>
  static void fields(Visit&& visit, StatusSettings& s) {
    visit("Status", "config", s.config, "file of `key = value` settings");
    visit("Status", "output", s.output, "folder of the dataset");
    visit("Status", "watch", s.watch, "look again and again until nothing is left or no job is running");
    visit("Status", "interval", s.interval, "seconds between two looks");
    visit("Status", "json", s.json, "as JSON; with watch, one line a look");
  }
};

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

void print(const StatusSettings& settings, const DatasetStatus& status) {
  const bool over = settings.watch && !settings.json && ::isatty(STDOUT_FILENO);
  if (over) std::printf("\033[H\033[2J");   // from the top of an empty screen
  if (settings.json) std::printf("%s\n", status_json(status, now()).dump(settings.watch ? -1 : 1).c_str());
  else std::printf("%s%s", status_table(status, now()).c_str(), settings.watch && !over ? "\n" : "");
  std::fflush(stdout);
}

}  // namespace

int show_status(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast status --output DIR [--watch] [--json]\n\nReads files only and changes none.\n\n%s",
                describe(settings_of<StatusSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<StatusSettings>(argc, argv);
  require(!settings.output.empty(), "which dataset to look at is not known: give --output DIR");
  require(settings.interval > 0, "interval is ", settings.interval, " s, expected more than 0");
  StatusReader reader(settings.output, StepLines());
  for (;;) {
    const DatasetStatus status = reader.read(now());
    print(settings, status);
    if (!settings.watch || status.left == 0 || status.running.empty()) return 0;
    std::this_thread::sleep_for(std::chrono::duration<double>(settings.interval));
  }
}

}  // namespace pyracast
