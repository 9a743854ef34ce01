#pragma once
#include <filesystem>

#include "pab/broadcast_policy.hpp"

namespace pyracast {

/// The broadcast files that come with the program: the folder configs/broadcast beside it or beside a folder that it is in, as in a checkout that
/// it was built in. Empty where there is none.
std::filesystem::path presets_folder();

/// The broadcast file that a setting names: a file, or one of presets_folder() by its name without ".json". Throws Error where it is neither.
std::filesystem::path broadcast_file(const std::filesystem::path& given);

/// What that file says; empty: nothing is reused.
BroadcastPolicy broadcast_policy(const std::filesystem::path& given);

}  // namespace pyracast
