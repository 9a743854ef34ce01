#pragma once
#include "settings/job_settings.hpp"

namespace pyracast {

/// The settings of `pyracast tune`.
struct TuneSettings : SettingsOfSamples {
  std::optional<double> budget, error;
  std::filesystem::path costs;
  std::vector<std::filesystem::path> against;
  std::vector<std::string> steps_candidates;
  int block_groups = 4, rounds = 6;
  std::string stored;
  bool unconditional_half = true;

  template <class Visit>
  static void fields(Visit&& visit, TuneSettings& s) {
    SettingsOfSamples::fields(visit, s, "Tune", "calibrate with the first so many samples of the manifest; 0: all");
    visit("Tune", "budget", s.budget, "what denoising may cost, as a share of computing everything in all steps (0.5 where nothing "
          "else is asked for): the least error is sought");
    visit("Tune", "error", s.error, "how far the final latents may lie from those with everything computed, mean squared "
          "difference over mean square: the least cost is sought");
    visit("Tune", "against", s.against, "broadcast files or presets to beat (comma between): the cost of each is a budget, its error a bound");
    visit("Tune", "steps-candidates", s.steps_candidates, "numbers of denoising steps to tune as well, besides `steps` (comma between)");
    visit("Tune", "block-groups", s.block_groups, "groups of blocks that are computed and reused apart, of each branch; calibrating a sample takes "
          "about 6 x groups x steps denoisings");
    visit("Tune", "rounds", s.rounds, "most real runs of a found schedule on each sample, each of which corrects the search");
    visit("Tune", "stored", s.stored, "keep outputs gated or ungated; default: as the family's published broadcasting");
    visit("Tune", "unconditional-half", s.unconditional_half, "reuse the unconditional half of guidance as well, where there is guidance and it "
          "pays; such a schedule does not fit cfg-parallel");
    visit("Tune", "costs", s.costs, "seconds of each branch: a tune.json of an earlier run, or a schedule that one wrote; default: medians of this "
          "one's. Given, the same command gives the same schedule files, byte for byte");
  }
};

}  // namespace pyracast
