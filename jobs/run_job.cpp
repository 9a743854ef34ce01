#include <algorithm>
#include <cstdio>
#include <string_view>

#include "jobs/jobs.hpp"
#include "runtime/version.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

namespace {

void print_help() {
  std::printf("usage: pyracast JOB [settings]\n\n");
  for (const JobEntry& job : all_jobs()) std::printf("  %-10s %s\n", job.name, job.help);
  std::printf("\npyracast JOB --help describes a job's settings; pyracast --version names versions.\n");
}

}  // namespace

int run_job(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "--help";
  if (name == "--version") {
    const Json versions = version_json();
    for (const auto& [key, item] : versions.items()) std::printf("%s: %s\n", key.c_str(), item.get<std::string>().c_str());
    return 0;
  }
  if (name == "--help" || name == "-h" || name == "help") {
    print_help();
    return 0;
  }
  const auto asks_for_help = [](std::string_view word) { return word == "--help" || word == "-h"; };
  char** const last = std::find(argv + 2, argv + argc, std::string_view("--"));   // behind it are the words for another job
  char help[] = "--help", *helped[] = {argv[1], help, nullptr};
  for (const JobEntry& job : all_jobs())
    if (name == job.name) return std::any_of(argv + 2, last, asks_for_help) ? job.run(2, helped) : job.run(argc - 1, argv + 1);
  std::vector<std::string> names;
  for (const JobEntry& job : all_jobs()) names.push_back(job.name);
  fail("the job \"", name, "\" does not exist; the nearest is \"", nearest_word(name, names), "\" (pyracast --help lists them)");
}

}  // namespace pyracast
