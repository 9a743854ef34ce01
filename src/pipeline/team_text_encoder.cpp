#include "pipeline/team_text_encoder.hpp"

#include <algorithm>

namespace pyracast {

namespace {

std::vector<int64_t> mask_of(int64_t tokens, int64_t length) {
  std::vector<int64_t> mask(size_t(tokens), 0);
  std::fill_n(mask.begin(), length, 1);
  return mask;
}

Tensor embedded(const T5Encoder& encoder, const TextToEncode& text, const Tokenizer::Tokens& tokens) {
  const int64_t count = text.encodes_padding() ? int64_t(tokens.ids.size()) : tokens.length, given = text.given(tokens.length);
  const Tensor all = encoder(std::span(tokens.ids).first(size_t(count)), mask_of(count, tokens.length), 1);
  return given < count ? slice(all, 1, 0, given) : all;
}

T5Encoder load_encoder(const TextEncoderFiles& files, Backend& backend, WeightStorage storage) {
  return load_network<T5Encoder, T5Config>(files.encoder, backend, storage);
}

/// An encoder whose memory goes back to the system with it.
class PassingEncoder {
 public:
  PassingEncoder(const TextEncoderFiles& files, Backend& backend, WeightStorage storage)
      : backend_(backend), encoder_(load_encoder(files, backend, storage)) {}
  ~PassingEncoder() {
    encoder_.reset();
    backend_.release_idle();
  }
  PassingEncoder(const PassingEncoder&) = delete;
  PassingEncoder& operator=(const PassingEncoder&) = delete;
  const T5Encoder& operator*() const { return *encoder_; }

 private:
  Backend& backend_;
  std::optional<T5Encoder> encoder_;
};

Tensor read_embedding(const StoredTexts& stored, const TextToEncode& text, int64_t length, int64_t width, Backend& backend) {
  std::optional<HostTensor> found = stored.find(text);
  const Shape expected{text.decisive(length), width};
  if (!found || found->shape != expected)
    throw Error(concat("the embedding of \"", text.text, "\" is not among the texts encoded beforehand, or is damaged: the same command encodes it "
                       "again"), ExitCode::environment);
  found->values.resize(size_t(text.given(length) * width), 0);   // padding without weight: any numbers do
  return Tensor(backend, {1, text.given(length), width}, found->values);
}

std::function<Embed()> encoder_of(const TextEncoderFiles& files, Backend& backend, WeightStorage storage, const TextSource& source) {
  switch (source.encoding) {
    case TextEncoding::resident: return [embed = embed_with(load_encoder(files, backend, storage))] { return embed; };
    case TextEncoding::offload:
      storage.shared = nullptr;   // what lies there stays
      return [=, &backend]() -> Embed {
        const auto encoder = std::make_shared<const PassingEncoder>(files, backend, storage);
        return [encoder](const TextToEncode& text, const Tokenizer::Tokens& tokens) { return embedded(**encoder, text, tokens); };
      };
    case TextEncoding::once: break;
  }
  return [stored = source.stored, width = files.width, &backend]() -> Embed {
    return [=, &backend](const TextToEncode& text, const Tokenizer::Tokens& tokens) {
      return stored ? read_embedding(*stored, text, tokens.length, width, backend) : Tensor(backend, {1, text.given(tokens.length), width});
    };
  };
}

}  // namespace

Embed embed_with(T5Encoder encoder) {
  return [encoder = std::move(encoder)](const TextToEncode& text, const Tokenizer::Tokens& tokens) { return embedded(encoder, text, tokens); };
}

std::vector<EncodedText> TeamTextEncoder::operator()(std::span<const TextToEncode> texts, Backend& backend, Communicator& team) {
  std::erase_if(encoded_, [&](const auto& entry) { return std::count(texts.begin(), texts.end(), entry.first) == 0; });
  Embed embed;
  std::vector<EncodedText> all;
  for (const TextToEncode& text : texts) {
    if (const auto found = encoded_.find(text); found != encoded_.end()) {
      all.push_back(found->second);
      continue;
    }
    const Tokenizer::Tokens tokens = tokenizer_.encode(text.text, text.most);
    const int64_t given = text.given(tokens.length);
    if (open_ && !embed) embed = open_();
    EncodedText encoded{open_ ? embed(text, tokens) : Tensor(backend, {1, given, width_}), mask_of(given, tokens.length), tokens.length};
    team.broadcast(encoded.embedding.view(), 0);
    all.push_back(encoded_[text] = std::move(encoded));
  }
  return all;
}

TeamTextEncoder open_text_encoder(const TextEncoderFiles& files, Backend& backend, WeightStorage storage, const TextSource& source, bool encodes) {
  const auto config = files.encoder / "config.json";
  const int64_t given = T5Config::from_json(read_json(config), config.string()).d_model;
  require(files.width == given, files.taker.string(), " takes captions ", files.width, " wide, but the text encoder ", files.encoder.string(),
          " gives ", given, ": they do not belong together");
  return {Tokenizer(files.tokenizer), files.width, encodes ? encoder_of(files, backend, storage, source) : std::function<Embed()>()};
}

HostTensor embedding_to_store(TeamTextEncoder& encoder, const TextToEncode& text, Backend& backend, Communicator& alone) {
  const EncodedText encoded = encoder(std::span(&text, 1), backend, alone).front();
  const int64_t rows = text.decisive(encoded.length), width = encoded.embedding.dim(2);
  return {{rows, width}, slice(encoded.embedding, 1, 0, rows).to_host()};
}

}  // namespace pyracast
