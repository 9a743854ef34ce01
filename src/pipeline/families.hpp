#pragma once
// How each family finds its model on disk; video_model.cpp has the table of names.
#include "pipeline/video_model.hpp"

namespace pyracast {

std::unique_ptr<VideoModel> find_open_sora(const ModelChoice& choice);
std::unique_ptr<VideoModel> find_latte(const ModelChoice& choice);
std::unique_ptr<VideoModel> find_open_sora_plan_110(const ModelChoice& choice);
std::unique_ptr<VideoModel> find_open_sora_plan_120(const ModelChoice& choice);

}  // namespace pyracast
