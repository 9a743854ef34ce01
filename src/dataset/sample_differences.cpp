#include "dataset/sample_differences.hpp"

#include <algorithm>
#include <cmath>

#include "base/file.hpp"
#include "dataset/mp4.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

std::string in_words(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }
template <class Number>
std::string in_words(Number number) { return concat(number); }

float value_of(float element) { return element; }
float value_of(uint16_t bits) {
  bfloat16 value;
  value.bits = bits;
  return float(value);
}

class Comparison {
 public:
  void differs(const std::string& name, const std::string& how) {
    if (out_.differing.empty()) out_.first = how;
    out_.differing.push_back(name);
  }

  template <class Element>
  void array(const std::string& name, const SampleArray<Element>& stored, const SampleArray<Element>& made) {
    if (stored.values.empty() && made.values.empty()) return;
    out_.compared.push_back(name);
    if (stored.shape != made.shape) return differs(name, concat(name, " is ", stored.shape, " there and ", made.shape, " here"));
    size_t count = 0, first = stored.values.size();
    float largest = 0;
    for (size_t i = 0; i < stored.values.size(); ++i)
      if (stored.values[i] != made.values[i]) {
        if (count++ == 0) first = i;
        largest = std::max(largest, std::abs(value_of(stored.values[i]) - value_of(made.values[i])));
      }
    if (count == 0) return;
    const size_t evaluation = stored.values.size() / size_t(std::max<int64_t>(stored.shape[0], 1));
    const std::string where = name == "step_latents" ? concat(" from evaluation ", first / evaluation, " on") : "";
    differs(name, concat(name, " differ", where, ": ", count, " of ", stored.values.size(), " values, by ", largest, " at most"));
  }

  template <class Value>
  void column(const std::string& name, const Value& stored, const Value& made) {
    out_.compared.push_back(name);
    if (stored != made) differs(name, concat(name, " is ", in_words(stored), " there and ", in_words(made), " here"));
  }

  void pixels(const std::optional<Video>& stored, const std::optional<Video>& made) {
    if (!stored && !made) return;
    out_.compared.push_back("frames");
    if (!stored || !made || stored->rgb.size() != made->rgb.size()) return differs("frames", "one has no pixels, or of another size");
    size_t count = 0;
    for (size_t i = 0; i < stored->rgb.size(); ++i) count += stored->rgb[i] != made->rgb[i];
    if (count) differs("frames", concat("the pixels before encoding differ: ", count, " of ", stored->rgb.size(), " values"));
  }

  SampleDifferences take() { return std::move(out_); }

 private:
  SampleDifferences out_;
};

/// What can be said of two MP4 files that differ.
std::string of_files(const fs::path& stored, const std::string& sha256, const fs::path& made) try {
  if (!fs::is_regular_file(stored)) return "the MP4 file is another than the stored one was, which is not there any more";
  if (sha256_of_file(stored) != sha256) return "the MP4 file is another, and the stored one is not what its row says (pyracast verify)";
  const bool same = read_mp4(stored).rgb == read_mp4(made).rgb;
  return same ? "the MP4 files differ and decode to the same pixels: another libavcodec or x264" : "the MP4 files differ and decode to other pixels";
} catch (const Error& error) {
  if (error.code == ExitCode::environment) throw;
  return concat("the MP4 files differ: ", error.what());
}

}  // namespace

SampleDifferences compare_samples(const SampleRecord& stored, const fs::path& stored_folder, const SampleRecord& made, const fs::path& made_folder) {
  Comparison comparison;
  comparison.column("status", stored.status, made.status);
  comparison.column("reason", stored.reason, made.reason);
  comparison.column("encoded_prompt", stored.encoded_prompt, made.encoded_prompt);
  comparison.array("text_embedding", stored.text_embedding, made.text_embedding);
  comparison.array("step_latents", stored.step_latents, made.step_latents);
  comparison.array("latents", stored.latents, made.latents);
  comparison.pixels(stored.pixels, made.pixels);
  std::vector<std::string> columns;
  SampleRecord::fields([&](SampleGroup group, const char* name, const auto&) {
    const std::string column = name;
    if (group == SampleGroup::content && column != "status" && column != "reason" && column != "encoded_prompt" && column != "video_sha256")
      columns.push_back(column);
  }, stored);
  for (const std::string& column : columns)
    SampleRecord::fields([&]<class Member>(SampleGroup, const char* name, const Member& there) {
      if (column != name) return;
      SampleRecord::fields([&]<class Other>(SampleGroup, const char* other, const Other& here) {
        if constexpr (std::is_same_v<Member, Other>)
          if (column == other) comparison.column(column, there, here);
      }, made);
    }, stored);
  const fs::path there = stored_folder / stored.video, here = made_folder / made.video;
  if (stored.video_sha256 != made.video_sha256) comparison.differs("video_sha256", of_files(there, stored.video_sha256, here));
  else if (!stored.video.empty() && !fs::is_regular_file(there)) comparison.differs("video", "the stored MP4 file is not there");
  else if (!stored.video.empty() && sha256_of_file(there) != stored.video_sha256)
    comparison.differs("video", "the stored MP4 file is not what its row says (pyracast verify)");
  SampleDifferences out = comparison.take();
  out.compared.push_back("video_sha256");
  return out;
}

}  // namespace pyracast
