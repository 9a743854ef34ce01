#include "jobs/jobs.hpp"

#include <cstdio>
#include <cstring>

#include "jobs/job_settings.hpp"
#include "jobs/version.hpp"

namespace pyracast {

namespace {

struct JobEntry {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;
};

constexpr JobEntry jobs[] = {
    {"generate", generate, "make every prompt's video that the dataset does not hold yet (under mpirun or srun: in parallel)"},
    {"parity", parity, "run parity cases: parity [-v] CASE...; 0 only if every number fits"},
    {"plan", plan, "show what a team will send and store for a video: plan --comm"},
    {"profile", profile, "measure how much each branch's output changes from one denoising step to the next"},
    {"compare", compare, "compare two runs of one manifest: compare A B (PSNR, SSIM, LPIPS, seconds; JSON and an HTML page)"},
    {"submit", submit, "fill in a Slurm script for generate, and print or submit it: submit [settings] -- SETTINGS OF GENERATE"},
    {"bench", bench, "time the networks at published sizes, with random weights"},
    {"clean", clean_captions, "show what the text encoder will see of captions (JSON strings on standard input)"},
};

void print_help() {
  std::printf("usage: pyracast JOB [settings]\n\n");
  for (const JobEntry& job : jobs) std::printf("  %-10s %s\n", job.name, job.help);
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
  if (name == "--help" || name == "-h") {
    print_help();
    return 0;
  }
  for (const JobEntry& job : jobs)
    if (name == job.name) return job.run(argc - 1, argv + 1);
  std::vector<std::string> names;
  for (const JobEntry& job : jobs) names.push_back(job.name);
  fail("the job \"", name, "\" does not exist; the nearest is \"", nearest_word(name, names), "\" (pyracast --help lists them)");
}

}  // namespace pyracast
