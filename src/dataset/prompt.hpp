#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace pyracast {

/// One row of a manifest, checked as far as that is possible without a model. What the row does not say is absent and
/// left to the run's settings.
struct Prompt {
  std::string id;
  std::string text;
  std::optional<std::string> negative_prompt;
  std::optional<uint64_t> seed;
  int samples = 1;
  std::optional<int> width, height;  ///< pixels, both or none; instead of resolution and aspect_ratio
  std::optional<std::string> resolution, aspect_ratio;  ///< names in the model's tables
  std::optional<int> frames;
  std::optional<double> seconds;  ///< instead of frames
  std::optional<double> fps;
  std::optional<int> steps;
  std::optional<double> guidance;
  std::optional<double> aesthetic, motion;  ///< scores the model was trained to be told
  std::optional<std::string> camera;        ///< camera motion in words
  std::optional<std::string> reference_path;  ///< pictures and videos that frames are taken from, ";" between
  std::optional<std::string> mask_strategy;   ///< which of their latent frames, and where they go (text/prompt.hpp)

  bool operator==(const Prompt&) const = default;
};

/// The names of a manifest's columns, in the order in which rows are written.
const std::vector<std::string_view>& prompt_columns();

/// The place of `name` in prompt_columns(). Throws Error naming it and the nearest column.
size_t prompt_column(std::string_view name);

/// Throws Error where the column `name` may not hold this value: what a row says and what a run's settings say for its rows have one set of limits.
void require_in_column(std::string_view name, const Json& value);

/// The prompt of one JSON object. Throws Error saying what is wrong with it.
Prompt prompt_from_json(std::string_view text);

/// The prompt of a table's row: cells[i] belongs to prompt_columns()[columns[i]]; an empty cell says nothing.
Prompt prompt_from_cells(const std::vector<size_t>& columns, const std::vector<std::string>& cells);

/// The prompt of a line of plain text.
Prompt prompt_from_text(std::string_view text);

/// The row as every reader of the dataset sees it, one line of JSON: the columns in their order, absent ones left out.
std::string to_json_line(const Prompt& prompt);

/// The same as a tree.
Json to_json(const Prompt& prompt);

/// What a row without an id is called: 20 hexadecimal digits of the SHA-256 of all that its samples depend on, so
/// neither the id nor the number of samples.
std::string content_id(const Prompt& prompt);

/// "samples is 2 there and 1 here": the first column in which two rows differ; empty where none does.
std::string first_difference(const Prompt& there, const Prompt& here);

}  // namespace pyracast
