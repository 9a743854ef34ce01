#pragma once
#include "settings/submit_settings.hpp"

namespace pyracast {

/// The options of sbatch for such a job. Throws Error, as `pyracast submit` does, where its resources or its form contradict themselves.
std::vector<std::string> sbatch_options(const SubmitSettings& settings);

/// `text` as one word of a shell command.
std::string quoted(const std::string& text);

}  // namespace pyracast
