#pragma once
#include <string>
#include <string_view>

namespace pyracast {

/// What ftfy 6's fix_text does with its default settings: entities where there is no "<", terminal colours removed,
/// text that was decoded with the wrong one-byte encoding decoded again, ligatures and full-width characters made plain,
/// quotes made straight, line breaks made \n, control characters removed, Unicode form C. Line by line.
std::string repair_encoding(std::string_view text);

}  // namespace pyracast
