// `pyracast doctor`: whether these machines and this file system are fit for a job.
#include <cstdio>

#include "dataset/doctor.hpp"
#include "jobs/jobs.hpp"
#include "runtime/on_ranks.hpp"

namespace pyracast {

namespace {

struct DoctorSettings {
  std::filesystem::path config, output;
  bool json = false;

  template <class Visit>
  static void fields(Visit&& visit, DoctorSettings& s) {
    visit("Doctor", "config", s.config, "file of `key = value` settings");
    visit("Doctor", "output", s.output, "an existing folder on the file system to be tried; none: only the machines");
    visit("Doctor", "json", s.json, "as JSON");
  }
};

void print_lines(const std::vector<Examination>& all) {
  for (const Examination& e : all) {
    std::printf("%-4s %s: %s\n", e.yes ? "yes" : "NO", e.question.c_str(), e.found.c_str());
    if (!e.yes) std::printf("     to do: %s\n", e.advice.c_str());
  }
}

void print_json(const std::vector<Examination>& all) {
  Json json = Json::array();
  for (const Examination& e : all)
    json.push_back({{"question", e.question}, {"yes", e.yes}, {"found", e.found}, {"advice", e.yes ? "" : e.advice}});
  std::printf("%s\n", json.dump(1).c_str());
}

ExitCode run(const Ranks& ranks, const DoctorSettings& settings) {
  ranks.on_first([&] {
    require(settings.output.empty() || std::filesystem::is_directory(settings.output), settings.output.string(),
            ": is no folder; make it first");
  });
  std::vector<Examination> all = examine_machines(ranks);
  if (!settings.output.empty())
    for (Examination& e : examine_file_system(ranks, settings.output)) all.push_back(std::move(e));
  int amiss = 0;
  if (ranks.rank() == 0) {
    settings.json ? print_json(all) : print_lines(all);
    for (const Examination& e : all) amiss += !e.yes;
  }
  check_mpi(MPI_Bcast(&amiss, 1, MPI_INT, 0, ranks.world()), "agreeing on the end");
  return amiss ? ExitCode::check_failed : ExitCode::complete;
}

}  // namespace

int doctor(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: [mpirun -n RANKS] pyracast doctor [--output DIR]\n\nStarted as the job will be: by the same launcher, "
                "on as many nodes. Ends with 0: all yes; 1: something is amiss.\n\n%s",
                describe(settings_of<DoctorSettings>()).c_str());
    return 0;
  }
  return on_ranks<DoctorSettings>(argc, argv, [](const DoctorSettings&) { return 120.0; }, run);
}

}  // namespace pyracast
