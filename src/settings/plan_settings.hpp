#pragma once
#include "settings/job_settings.hpp"

namespace pyracast {

/// The settings of `pyracast plan` for a whole manifest: all of generate's, so that its config file and command line serve here as well.
struct JobPlanSettings {
  GenerateSettings generate;
  std::filesystem::path measure;
  int samples = 4, nodes = 0;
  std::optional<double> latency;
  bool json = false;

  JobPlanSettings() { generate.ranks_per_video.ranks = 0; }

  template <class Visit>
  static void fields(Visit&& visit, JobPlanSettings& s) {
    visit("Plan", "measure", s.measure, "make some of the manifest's videos by teams of every size and write here what they take: the machine "
          "file; under mpirun with all ranks of a node");
    visit("Plan", "samples", s.samples, "measure: videos of each size a team");
    visit("Plan", "nodes", s.nodes, "of the job; 0: as the machine file says");
    visit("Plan", "latency", s.latency, "seconds that one video may take from its beginning until it is on disk");
    visit("Plan", "json", s.json, "as JSON");
    GenerateSettings::fields(visit, s.generate);
  }
};

}  // namespace pyracast
