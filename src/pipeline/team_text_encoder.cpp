#include "pipeline/team_text_encoder.hpp"

#include <algorithm>

namespace pyracast {

EncodedText TeamTextEncoder::operator()(const std::string& text, int64_t most, bool padding, Backend& backend, Communicator& team) {
  if (const auto found = encoded_.find(text); found != encoded_.end()) return found->second;
  const Tokenizer::Tokens tokens = tokenizer_.encode(text, most);
  const int64_t count = padding ? int64_t(tokens.ids.size()) : tokens.length;
  EncodedText encoded;
  encoded.length = tokens.length;
  encoded.mask.assign(size_t(count), 0);
  std::fill_n(encoded.mask.begin(), tokens.length, 1);
  encoded.embedding = encoder_ ? (*encoder_)(std::span(tokens.ids).first(size_t(count)), encoded.mask, 1) : Tensor(backend, {1, count, width_});
  team.broadcast(encoded.embedding.view(), 0);
  encoded_[text] = encoded;
  return encoded;
}

void TeamTextEncoder::keep_only(const std::vector<std::string>& texts) {
  std::erase_if(encoded_, [&](const auto& entry) { return std::count(texts.begin(), texts.end(), entry.first) == 0; });
}

TeamTextEncoder open_text_encoder(const std::filesystem::path& folder, const std::filesystem::path& tokenizer, int64_t width,
                                  const std::filesystem::path& taker, Backend& backend, std::optional<DType> dtype, bool encodes) {
  const auto config = folder / "config.json";
  const int64_t given = T5Config::from_json(read_json(config), config.string()).d_model;
  require(width == given, taker.string(), " takes captions ", width, " wide, but the text encoder ", folder.string(), " gives ", given,
          ": they do not belong together");
  std::optional<T5Encoder> encoder;
  if (encodes) encoder = load_network<T5Encoder, T5Config>(folder, backend, dtype);
  return {Tokenizer(tokenizer), std::move(encoder), width};
}

}  // namespace pyracast
