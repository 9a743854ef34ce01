#pragma once
#include <filesystem>

#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// Whether this build has libav.
bool reads_pictures();

/// A reference that lies in a case's folder. Throws Error in a build that reads no pictures.
Reference case_reference(const std::filesystem::path& file, const VideoRequest& request, const WantedFrames& wanted);

}  // namespace pyracast
