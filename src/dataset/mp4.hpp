#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/video.hpp"

namespace pyracast {

/// Key and value pairs stored in the file's metadata, as ffprobe shows them.
using VideoMetadata = std::vector<std::pair<std::string, std::string>>;

/// Writes H.264 (yuv420p, BT.709, limited range) in MP4, through a temporary name. The same video, metadata and crf
/// (0 to 51, smaller is better) give the same bytes on every run and on every x86 processor. An odd height or width is
/// made even by repeating the last row or column, as yuv420p wants it. Throws Error naming the file.
void write_mp4(const std::filesystem::path& path, const Video& video, const VideoMetadata& metadata, int crf);

/// The same under the name itself and without making it durable; a file that could not be finished is removed.
void encode_mp4(const std::filesystem::path& path, const Video& video, const VideoMetadata& metadata, int crf);

/// act(frame), a video of one frame, for each frame of the first video stream of a file that libav reads, or of a picture; gives the video without
/// pixels. Throws Error naming the file.
Video for_each_frame(const std::filesystem::path& path, const std::function<void(const Video& frame)>& act);

/// How many for_each_frame would give.
int count_frames(const std::filesystem::path& path);

/// All of them together.
Video read_mp4(const std::filesystem::path& path);

/// What read_mp4 would give without the pixels: decodes every frame, keeps none, and takes damage that a decoder could
/// conceal as an Error.
Video check_mp4(const std::filesystem::path& path);

}  // namespace pyracast
