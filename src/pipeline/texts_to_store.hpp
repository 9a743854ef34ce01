#pragma once
#include <unordered_set>

#include "pipeline/video_model.hpp"

namespace pyracast {

/// The texts of a video that are encoded beforehand (TextEncoding::once); none where its prompt asks for what is not there: then the video
/// fails, with that reason.
std::vector<TextToEncode> texts_to_store(const VideoModel& model, const VideoRequest& request);

/// What the texts of many videos take on disk where they are encoded beforehand: each once, in the files of StoredTexts. Holds about 100 bytes a
/// distinct text.
class TextsToStore {
 public:
  /// Of a model that encodes texts, which must outlive this; reads its tokenizer.
  explicit TextsToStore(const VideoModel& model);

  void add(const VideoRequest& request);
  uint64_t count() const { return keys_.size(); }
  /// Of all files together when they are sealed, where the texts are written to so many.
  uint64_t bytes(uint64_t files) const;

 private:
  const VideoModel& model_;
  Tokenizer tokenizer_;
  std::unordered_set<std::string> keys_;
  uint64_t rows_ = 0;   // of all embeddings
};

}  // namespace pyracast
