#include "pipeline/texts_to_store.hpp"

namespace pyracast {

std::vector<TextToEncode> texts_to_store(const VideoModel& model, const VideoRequest& request) {
  try {
    return model.texts(request);
  } catch (const Error&) {
    return {};
  }
}

TextsToStore::TextsToStore(const VideoModel& model) : model_(model), tokenizer_(model.text_encoder_files().tokenizer) {}

void TextsToStore::add(const VideoRequest& request) {
  for (const TextToEncode& text : texts_to_store(model_, request))
    if (keys_.insert(key_of(text)).second) rows_ += uint64_t(text.decisive(tokenizer_.encode(text.text, text.most).length));
}

uint64_t TextsToStore::bytes(uint64_t files) const {
  return bytes_of_text_files(files, count(), rows_ * uint64_t(model_.text_encoder_files().width));
}

}  // namespace pyracast
