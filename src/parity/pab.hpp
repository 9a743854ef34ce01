#pragma once
#include "base/json.hpp"
#include "pab/pyramid.hpp"

namespace pyracast {

/// A case's `call.pab`: settings in the published implementation's names; null: everything is computed.
PabSettings pab_settings(const Json& json, const std::string& where);

}  // namespace pyracast
