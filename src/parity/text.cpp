#include "parity/text.hpp"

#include <algorithm>

#include "parity/components.hpp"
#include "text/clean.hpp"
#include "text/tokenizer.hpp"

namespace pyracast {

namespace {

/// What `compute` gives, or the expected refusal itself when it refuses as expected: how the refusal is called is the
/// published implementation's business.
template <class Compute>
Json or_refusal(const Json& expected, Compute compute) {
  try {
    return compute();
  } catch (const Error& error) {
    if (expected.is_object() && expected.contains("error")) return expected;
    return {{"error", error.what()}};
  }
}

Json loops_row(const Json& row, const std::string& where) {
  PromptSegments segments = split_segments(value<std::string>(row, "prompt", where));
  Json out = row;
  out["segments"] = segments.texts;
  out["loop_idx"] = segments.starts.empty() ? Json() : Json(segments.starts);
  for (std::string& text : segments.texts) text = clean(decorate(text, {.aesthetic = 6.5}));
  out["merged"] = merge_segments(segments);
  for (size_t loop = 0; loop < row.at("per_loop").size(); ++loop)
    out["per_loop"][loop] = or_refusal(row["per_loop"][loop], [&] { return Json(text_of_loop(merge_segments(segments), int64_t(loop))); });
  return out;
}

Json mask_rows(const std::string& text) {
  Json rows = Json::array();
  for (const MaskStrategyRow& row : parse_mask_strategy(text))
    rows.push_back({row.loop, row.reference, row.reference_start, row.target_start, row.length, row.edit_ratio});
  return rows;
}

}  // namespace

PromptHints prompt_hints(const Json& row, const std::string& where) {
  PromptHints hints;
  if (row.contains("aes") && !row.at("aes").is_null()) hints.aesthetic = value<double>(row, "aes", where);
  if (row.contains("flow") && !row.at("flow").is_null()) hints.motion = value<double>(row, "flow", where);
  if (row.contains("camera_motion") && !row.at("camera_motion").is_null())
    hints.camera = value<std::string>(row, "camera_motion", where);
  return hints;
}

void run_sentencepiece(const Case& c, Results& results) {
  const Tokenizer tokenizer(c.folder());
  const auto length = value<int64_t>(c.call(), "max_length", c.where());
  Json rows = Json::array();
  for (Json row : c.expected_json()) {
    const Tokenizer::Tokens tokens = tokenizer.encode(value<std::string>(row, "text", c.where()), length);
    std::vector<int64_t> mask(tokens.ids.size(), 0);
    std::fill_n(mask.begin(), tokens.length, 1);
    row["input_ids"] = tokens.ids;
    row["attention_mask"] = mask;
    rows.push_back(row);
  }
  results.set_json(rows);
}

void run_text_cleaning(const Case& c, Results& results) {
  Json rows = Json::array();
  for (Json row : c.expected_json()) {
    const auto text = value<std::string>(row, "text", c.where());
    // Open-Sora's code has the mending as a function of its own, which its cases show as "basic".
    const Cleaning cleaning = row.contains("basic") ? Cleaning::open_sora : Cleaning::diffusers;
    if (row.contains("once")) row["once"] = clean_once(text, cleaning);
    if (row.contains("cleaned")) row["cleaned"] = clean(text, cleaning);
    if (row.contains("lower_strip")) row["lower_strip"] = lower_strip(text);
    if (row.contains("basic")) row["basic"] = basic_clean(text);
    rows.push_back(row);
  }
  results.set_json(rows);
}

void run_prompt_decoration(const Case& c, Results& results) {
  Json out = c.expected_json();
  for (auto& [list, rows] : out.items())
    for (Json& row : rows) {
      const std::string& where = c.where();
      if (list == "decoration") {
        row["decorated"] = decorate(value<std::string>(row, "prompt", where), prompt_hints(row, where));
        row["cleaned"] = clean(row["decorated"].get<std::string>());
      } else if (list == "loops") {
        row = loops_row(row, where);
      } else if (list == "json_in_prompt") {
        row["result"] = or_refusal(row["result"], [&]() -> Json {
          const PromptOptions options = split_options(value<std::string>(row, "prompt", where));
          return {{"prompt", options.prompt}, {"reference", options.reference}, {"mask_strategy", options.mask_strategy}};
        });
      } else if (list == "mask_strategy") {
        row["parsed"] = or_refusal(row["parsed"], [&] { return mask_rows(value<std::string>(row, "mask_strategy", where)); });
      } else if (list == "find_nearest_point") {
        row["result"] = or_refusal(row["result"], [&] {
          return Json(find_nearest_point(value<int64_t>(row, "value", where), value<int64_t>(row, "point", where),
                                         value<int64_t>(row, "max_value", where)));
        });
      } else if (list == "dframe_to_frame") {
        row["frames"] = or_refusal(row["frames"], [&] { return Json(dframe_to_frame(value<int64_t>(row, "latent", where))); });
      } else {
        fail(where, ": the list \"", list, "\" is not known");
      }
    }
  results.set_json(out);
}

}  // namespace pyracast
