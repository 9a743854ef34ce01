#pragma once
#include "settings/job_settings.hpp"

namespace pyracast {

/// The settings of `pyracast profile`.
struct ProfileSettings : SettingsOfSamples {
  std::string outputs = "ungated";

  template <class Visit>
  static void fields(Visit&& visit, ProfileSettings& s) {
    SettingsOfSamples::fields(visit, s, "Profile", "profile the first so many samples of the manifest; 0: all");
    visit("Profile", "outputs", s.outputs, "of self-attentions and MLPs: ungated (what the module gives) or gated (what is "
          "added to the tokens, and stored for reuse by default). Cross-attentions have no gate");
  }
};

}  // namespace pyracast
