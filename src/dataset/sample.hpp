#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/video.hpp"
#include "base/weight_file.hpp"
#include "dataset/clip_quality.hpp"

namespace pyracast {

/// Which half of a shard a value belongs to: content is bit-equal between runs of the same samples, provenance says when
/// and where they were made.
enum class SampleGroup { content, provenance };

enum class SampleStatus : int64_t { done = 0, failed = 1 };

/// Whether a sample was also made without reuse, and what came of it: not chosen; within the bound, or there is none; beyond it;
/// beyond it and kept as made without reuse; without reuse its values were not finite.
enum class SampleAudit : int64_t { none = 0, within = 1, beyond = 2, replaced = 3, not_finite = 4 };

/// Whether the columns `audit_*` hold a comparison.
constexpr bool is_compared(int64_t audit) { return audit >= int64_t(SampleAudit::within) && audit <= int64_t(SampleAudit::replaced); }

/// Columns of `step_seconds`.
inline constexpr std::array<const char*, 6> step_phases{"spatial_attention", "temporal_attention", "cross_attention",
                                                        "mlp", "communication", "other"};

/// Columns of `step_counts`: blocks whose branch was computed (the others reused a stored output), and what the team's
/// first rank sent to other ranks, or would have sent for what it reused; and for which branch the all-to-alls were. Where the halves of
/// guidance were evaluated one after the other, a block counts once in each; else once for both.
inline constexpr std::array<const char*, 22> step_counters{
    "spatial_attention_computed", "temporal_attention_computed", "spatial_cross_computed", "temporal_cross_computed",
    "spatial_mlp_computed", "temporal_mlp_computed", "all_to_alls", "all_to_all_bytes", "all_to_all_bytes_avoided", "gather_bytes",
    "spatial_attention_all_to_alls", "temporal_attention_all_to_alls", "spatial_cross_all_to_alls", "temporal_cross_all_to_alls",
    "spatial_mlp_all_to_alls", "temporal_mlp_all_to_alls", "spatial_attention_bytes", "temporal_attention_bytes", "spatial_cross_bytes",
    "temporal_cross_bytes", "spatial_mlp_bytes", "temporal_mlp_bytes"};

/// The column of `step_counts` with this name.
consteval size_t step_counter(std::string_view name) {
  size_t at = 0;
  while (name != step_counters.at(at)) ++at;
  return at;
}

/// An array of one sample, row-major; empty where it is not kept.
template <class Element>
struct SampleArray {
  Shape shape;
  std::vector<Element> values;
};

/// One finished sample: a row of a shard. Its columns are named once, in fields(); the journal, the shards, their
/// readers and metadata.jsonl all go by that list.
struct SampleRecord {
  std::string id;
  int64_t sample = 0;
  int64_t status = int64_t(SampleStatus::done);
  std::string reason;             ///< of a failure
  std::string prompt;             ///< as given
  std::string encoded_prompt;     ///< as the text encoder saw it
  uint64_t seed = 0;
  int64_t height = 0, width = 0, frames = 0;
  double fps = 0;
  int64_t steps = 0;
  double guidance = 0;
  std::string settings;           ///< what else decides the pixels, JSON
  std::string video;              ///< path relative to the dataset's folder; empty for a failure
  std::string video_sha256;
  ClipQuality quality;            ///< of the pixels before encoding; zeros for a failure, like the texts below
  std::string quality_flags;      ///< flags_of(quality)
  std::string perceptual_hash;    ///< to_text(hash_of(video))
  int64_t audit = int64_t(SampleAudit::none);
  double audit_psnr = 0, audit_ssim = 0, audit_mse = 0;   ///< with reuse against without: frames before encoding, latents (relative)

  double text_seconds = 0, decode_seconds = 0, encode_seconds = 0, write_seconds = 0;
  std::string host;
  int64_t rank = 0, team = 0, attempt = 0;
  int64_t continuations = 0;      ///< how often a later run went on inside the video
  int64_t continued_after = 0;    ///< evaluations of the network that were made before the last of them
  double started = 0, ended = 0;  ///< seconds since 1970
  double audit_seconds = 0;       ///< between them, of the pass whose video is not kept and of comparing
  double making_seconds() const { return ended - started - audit_seconds; }

  std::vector<std::array<float, step_phases.size()>> step_seconds;      ///< [evaluations of the network][step_phases]
  std::vector<std::array<int64_t, step_counters.size()>> step_counts;   ///< [evaluations of the network][step_counters]
  SampleArray<float> latents;                       ///< [channels, time, height, width]
  SampleArray<float> step_latents;                  ///< [evaluations, channels, time, height, width], after each evaluation
  SampleArray<uint16_t> text_embedding;             ///< [tokens, width], the bits of bfloat16 numbers
  std::optional<Video> pixels;

  /// The arrays that are kept on request, all content, with their numbers of axes.
  template <class Visit, class Record>
  static void arrays(Visit&& visit, Record& r) {
    visit("latents", size_t(4), r.latents);
    visit("step_latents", size_t(5), r.step_latents);
    visit("text_embedding", size_t(2), r.text_embedding);
  }

  template <class Visit, class Record>
  static void fields(Visit&& visit, Record& r) {
    constexpr auto content = SampleGroup::content, provenance = SampleGroup::provenance;
    visit(content, "id", r.id);
    visit(content, "sample", r.sample);
    visit(content, "status", r.status);
    visit(content, "reason", r.reason);
    visit(content, "prompt", r.prompt);
    visit(content, "encoded_prompt", r.encoded_prompt);
    visit(content, "seed", r.seed);
    visit(content, "height", r.height);
    visit(content, "width", r.width);
    visit(content, "frames", r.frames);
    visit(content, "fps", r.fps);
    visit(content, "steps", r.steps);
    visit(content, "guidance", r.guidance);
    visit(content, "settings", r.settings);
    visit(content, "video", r.video);
    visit(content, "video_sha256", r.video_sha256);
    visit(content, "mean_luma", r.quality.mean_luma);
    visit(content, "dark_share", r.quality.dark_share);
    visit(content, "clipped_share", r.quality.clipped_share);
    visit(content, "frame_difference", r.quality.frame_difference);
    visit(content, "still_share", r.quality.still_share);
    visit(content, "quality_flags", r.quality_flags);
    visit(content, "perceptual_hash", r.perceptual_hash);
    visit(content, "audit", r.audit);
    visit(content, "audit_psnr", r.audit_psnr);
    visit(content, "audit_ssim", r.audit_ssim);
    visit(content, "audit_mse", r.audit_mse);
    visit(provenance, "text_seconds", r.text_seconds);
    visit(provenance, "decode_seconds", r.decode_seconds);
    visit(provenance, "encode_seconds", r.encode_seconds);
    visit(provenance, "write_seconds", r.write_seconds);
    visit(provenance, "host", r.host);
    visit(provenance, "rank", r.rank);
    visit(provenance, "team", r.team);
    visit(provenance, "attempt", r.attempt);
    visit(provenance, "continuations", r.continuations);
    visit(provenance, "continued_after", r.continued_after);
    visit(provenance, "started", r.started);
    visit(provenance, "ended", r.ended);
    visit(provenance, "audit_seconds", r.audit_seconds);
  }
};

/// The record as bytes (CBOR), arrays and all, and back. Throws Error on bytes that are no such record.
std::vector<uint8_t> to_bytes(const SampleRecord& record);
SampleRecord sample_from_bytes(std::span<const uint8_t> bytes);

}  // namespace pyracast
