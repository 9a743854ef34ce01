#include "parity/case_reference.hpp"

#include "dataset/reference.hpp"

namespace pyracast {

bool reads_pictures() { return true; }

Reference case_reference(const std::filesystem::path& file, const VideoRequest& request, const WantedFrames& wanted) {
  return read_reference(file, int(request.height), int(request.width), wanted);
}

}  // namespace pyracast
