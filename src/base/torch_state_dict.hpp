#pragma once
#include <utility>

#include "base/unpickler.hpp"

namespace pyracast {

/// The weights' mapping in a checkpoint's pickle, name -> value, in file order. Training programs wrap it: the usual
/// wrappers (ema_state_dict, ema, state_dict, model_state_dict, model, module; inside a state_dict also gen_model, the
/// generator of Open-Sora-Plan's VAE) are opened, averaged weights before others. A prefix "module." that all names
/// share is taken off. Throws Error naming `file` when the pickle's value is no mapping.
std::vector<std::pair<std::string, PickleIndex>> torch_state_dict(const Pickle& pickle, const std::string& file);

}  // namespace pyracast
