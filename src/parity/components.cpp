#include "parity/components.hpp"

#include <map>

namespace pyracast {

Results run_case(const Case& parity_case) {
  static const std::map<std::string, void (*)(const Case&, Results&)> components{
      {"stdit3", run_stdit3},
      {"t5_encoder", run_t5_encoder},
      {"rflow_timesteps", run_rflow_timesteps},
      {"scheduler_rflow", run_scheduler_rflow},
  };
  const auto found = components.find(parity_case.component());
  if (found == components.end()) {
    std::string known;
    for (const auto& [name, run] : components) known += (known.empty() ? "" : ", ") + name;
    fail(parity_case.where(), ": the component \"", parity_case.component(), "\" is not known; known are ", known);
  }
  Results results;
  found->second(parity_case, results);
  return results;
}

}  // namespace pyracast
