#pragma once
// How Open-Sora v1.2 reads a prompt: hints appended to it, one text a loop, options in JSON behind it.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

/// What the model was trained to be told beside the caption.
struct PromptHints {
  std::optional<double> aesthetic, motion;
  std::optional<std::string> camera;
};

/// The text with each hint appended that is given and whose marker ("aesthetic score:" …) the text does not hold.
std::string decorate(std::string text, const PromptHints& hints);

/// "|0| a text |2| another": the texts and the loop each starts with; a prompt that does not begin with "|0|" is one
/// text for all loops, and `starts` is empty.
struct PromptSegments {
  std::vector<std::string> texts;
  std::vector<int64_t> starts;
};

/// Throws Error on segments without a number or a text.
PromptSegments split_segments(const std::string& prompt);
/// The way back: "|0|a text|2|another".
std::string merge_segments(const PromptSegments& segments);
/// The text of a loop. Throws Error where the segments leave none for it.
std::string text_of_loop(const std::string& merged, int64_t loop);

/// The options that may stand behind a prompt as one JSON object.
struct PromptOptions {
  std::string prompt, reference, mask_strategy;
};

/// Throws Error on more than one "{", on what is not JSON, and on unknown keys.
PromptOptions split_options(const std::string& prompt);

/// One row of a mask strategy: which latent frames of which reference a loop takes over.
struct MaskStrategyRow {
  int64_t loop = 0, reference = 0, reference_start = 0, target_start = 0, length = 1;
  double edit_ratio = 0;
};

/// "loop,reference,reference start,target start,length,edit ratio;…", trailing fields may be missing. Throws Error on
/// anything else.
std::vector<MaskStrategyRow> parse_mask_strategy(std::string_view text);

/// The files that the clips of a video take latent frames from, and which.
struct References {
  std::vector<std::string> files;
  std::vector<MaskStrategyRow> rows;
};

/// Of `reference_path`, names with ";" between, and `mask_strategy`; where one of them is empty, of the prompt's own. Throws Error on a strategy of
/// files or clips that are not there, on one that copies no frame or edits more than all of it, and on a file that no row of it names.
References references_of(const std::string& prompt, const std::string& reference_path, const std::string& mask_strategy, int clips);

/// `value` snapped to a multiple of `point`: to the next one where it is nearer and lies within `max_value`.
int64_t find_nearest_point(int64_t value, int64_t point, int64_t max_value);
/// Frames of so many latent frames, a multiple of 5.
int64_t dframe_to_frame(int64_t latents);

/// What the text encoder is given for each clip of a video: options split off, the segments decorated, cleaned and
/// spread over the clips. Throws Error on options or segments that are none.
std::vector<std::string> texts_per_clip(const std::string& prompt, const PromptHints& hints, int clips);

}  // namespace pyracast
