#include "text/tokenizer.hpp"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "base/json.hpp"

namespace pyracast {

namespace {

constexpr int pad = 0, eos = 1, unknown = 2;

std::string_view without_blanks_around(std::string_view text) {
  const char* blanks = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(blanks);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

int64_t extra_ids_of(const std::filesystem::path& model) {
  const auto config = model.parent_path() / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) return 100;
  return value_or(read_json(config), "extra_ids", int64_t(100), config.string());
}

}  // namespace

Tokenizer::Tokenizer(const std::filesystem::path& file_or_folder)
    : model_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const auto path = std::filesystem::is_directory(file_or_folder) ? file_or_folder / "spiece.model" : file_or_folder;
  require(std::filesystem::is_regular_file(path), path.string(), ": is not there (expected the tokenizer's SentencePiece model)");
  const auto status = model_->Load(path.string());
  require(status.ok(), path.string(), ": is not a SentencePiece model: ", status.ToString());
  require(model_->pad_id() == pad && model_->eos_id() == eos && model_->unk_id() == unknown, path.string(),
          ": its pad, eos and unk ids are ", model_->pad_id(), ", ", model_->eos_id(), " and ", model_->unk_id(),
          ", expected 0, 1 and 2 (T5's)");
  special_ = {{model_->IdToPiece(pad), pad}, {model_->IdToPiece(eos), eos}, {model_->IdToPiece(unknown), unknown}};
  const int64_t pieces = model_->GetPieceSize(), extra = extra_ids_of(path);
  for (int64_t k = 0; k < extra; ++k) special_.emplace_back(concat("<extra_id_", k, '>'), pieces + extra - 1 - k);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

void Tokenizer::append_pieces(std::string_view text, std::vector<int64_t>& ids) const {
  text = without_blanks_around(text);
  if (text.empty()) return;
  std::vector<int> pieces;
  const auto status = model_->Encode({text.data(), text.size()}, &pieces);
  require(status.ok(), "the text cannot be tokenised: ", status.ToString());
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

Tokenizer::Tokens Tokenizer::encode(std::string_view text, int64_t max_length) const {
  require(max_length > 0, "a text of at most ", max_length, " tokens: at least 1 is needed");
  Tokens tokens;
  size_t begin = 0;
  for (size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
    const auto special = std::find_if(special_.begin(), special_.end(), [&](const auto& entry) {
      return text.substr(at, entry.first.size()) == entry.first;
    });
    if (special == special_.end()) {
      ++at;
      continue;
    }
    append_pieces(text.substr(begin, at - begin), tokens.ids);
    tokens.ids.push_back(special->second);
    begin = at += special->first.size();
  }
  append_pieces(text.substr(begin), tokens.ids);
  tokens.ids.resize(std::min<size_t>(tokens.ids.size(), size_t(max_length) - 1));
  tokens.ids.push_back(eos);
  tokens.length = int64_t(tokens.ids.size());
  tokens.ids.resize(size_t(max_length), pad);
  return tokens;
}

}  // namespace pyracast
