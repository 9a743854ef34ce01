#pragma once
#include "base/json.hpp"

namespace pyracast {

/// Version, git revision, compiler and the libraries in use.
Json version_json();

}  // namespace pyracast
