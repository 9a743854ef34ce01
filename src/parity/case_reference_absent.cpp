#include "parity/case_reference.hpp"

namespace pyracast {

bool reads_pictures() { return false; }

Reference case_reference(const std::filesystem::path& file, const VideoRequest&, const WantedFrames&) {
  fail(file.string(), ": this build reads no pictures (it has no libav)");
}

}  // namespace pyracast
