#pragma once
#include "jobs/job_settings.hpp"

namespace pyracast {

/// Of the settings of `generate`: those that say which model makes which videos, of one clip.
inline bool says_which_videos(const std::string& group, const std::string& name) {
  if (group == "Job") return name == "config" || name == "prompts" || name == "output";
  if (group == "Sampling") return name != "clips" && !name.starts_with("condition-");
  return group == "Model" || group == "Device";
}

/// The settings of `pyracast profile`: those of `generate` that say which model makes which videos, and its own.
struct ProfileSettings {
  GenerateSettings generate;
  int64_t samples = 0;
  std::string outputs = "ungated";

  template <class Visit>
  static void fields(Visit&& visit, ProfileSettings& s) {
    GenerateSettings::fields([&](const std::string& group, const std::string& name, auto& member, const char* help) {
      if (says_which_videos(group, name)) visit(group.c_str(), name.c_str(), member, help);
    }, s.generate);
    visit("Profile", "samples", s.samples, "profile the first so many samples of the manifest; 0: all");
    visit("Profile", "outputs", s.outputs, "of self-attentions and MLPs: ungated (what the module gives) or gated (what is "
          "added to the tokens, and stored for reuse by default). Cross-attentions have no gate");
  }
};

}  // namespace pyracast
