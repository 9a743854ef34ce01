#pragma once
#include "nn/weights.hpp"
#include "pipeline/open_sora_sizes.hpp"
#include "pipeline/snapshot.hpp"
#include "pipeline/team_text_encoder.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// What a video is where nobody says otherwise: as published, and as the snapshot's model_index.json says (height, width,
/// num_frames, fps, num_sampling_steps, cfg_scale, negative_prompt: our extension).
struct VideoDefaults {
  int64_t height = 0, width = 0, frames = 0;
  double fps = 24;
  int steps = 30;
  double guidance = 7;
  std::string negative_prompt = {};

  /// `published` with what `index` says in their place. Throws Error naming `where` and the key.
  static VideoDefaults from_index(const Json& index, const std::string& where, const VideoDefaults& published);
};

/// What a user says of a model.
struct ModelChoice {
  std::string family;                ///< a name of model_families()
  std::filesystem::path snapshot;    ///< empty: every part is given
  SnapshotPaths given;               ///< parts that lie elsewhere
  std::string sampler = {};          ///< a name of sampler_names(), in place of the snapshot's; empty: as published
  bool on_disk = true;               ///< false: as published, without any file; it can be asked, not opened
};

/// One model on disk: its configuration has been read and checked, its weights not yet.
class VideoModel {
 public:
  VideoModel(SnapshotPaths files, VideoDefaults defaults) : files_(std::move(files)), defaults_(std::move(defaults)) {}
  virtual ~VideoModel() = default;

  const SnapshotPaths& files() const { return files_; }
  const VideoDefaults& defaults() const { return defaults_; }

  /// Why such a video cannot be made; nothing where it can.
  std::optional<std::string> refusal(const VideoRequest& request) const;
  /// The pixels of a named resolution ("480p") in an aspect ratio ("9:16"). Throws Error where there is no such one.
  virtual ImageSize size_of(const std::string& resolution, const std::string& aspect_ratio) const;

  /// What its files say and nothing looks at, a line each, for the user to know.
  virtual std::vector<std::string> notes() const { return {}; }

  /// Whether prompts are told an aesthetic score, a motion score and a camera motion.
  virtual bool takes_hints() const { return false; }

  /// What frames of such a video are taken from. Throws Error on references that cannot be.
  virtual References references(const VideoRequest& request) const;

  /// The texts that such a video needs encoded. Throws Error on a prompt that asks for what is not there.
  virtual std::vector<TextToEncode> texts(const VideoRequest&) const { return {}; }
  /// What encodes them.
  TextEncoderFiles text_encoder_files() const { return {files_.text_encoder, files_.tokenizer, caption_width(), files_.transformer}; }

  /// Reads the weights, as `storage` says; the text encoder's only where `team`'s first rank calls this, and as `texts` says. `backend` and
  /// `team` must outlive what is returned. Throws Error on parts that are not whole or do not belong together.
  virtual std::unique_ptr<VideoPipeline> open(Backend& backend, WeightStorage storage, const TeamChannels& team,
                                              const TextSource& texts = {}) const = 0;

 private:
  SnapshotPaths files_;
  VideoDefaults defaults_;

  /// Of the embeddings of texts that the network wants.
  virtual int64_t caption_width() const { return 0; }
  /// What this family cannot make of what all families allow.
  virtual std::optional<std::string> refusal_of_family(const VideoRequest& request) const = 0;
};

/// A family as it was published.
struct ModelFamily {
  const char* name;              ///< what `--model` takes
  const char* title;
  const char* transformer_class; ///< `_class_name` or `model_type` of its transformer's config.json
  const char* published;         ///< the repositories of its parts
  const char* sizes;             ///< what its published variants make
  const char* presets;           ///< of broadcasting, under configs/broadcast
  std::unique_ptr<VideoModel> (*find)(const ModelChoice& choice);
};

/// All of them, and at last "null", which makes tiny videos in no time.
std::span<const ModelFamily> model_families();
std::vector<std::string> model_family_names();

/// The name of the family that a snapshot belongs to, by the class in its transformer's config.json. Throws Error where there is
/// none, or an unknown one.
std::string family_of(const std::filesystem::path& snapshot, const SnapshotPaths& given);

/// The model that `choice` names. Throws Error on a family that is not known, parts that are not there and configurations that
/// cannot be.
std::unique_ptr<VideoModel> find_model(const ModelChoice& choice);

/// The transformer's config.json; `published` of a model that is not on disk.
template <class Config>
Config transformer_config(const SnapshotPaths& files, const ModelChoice& choice, const Config& published) {
  if (!choice.on_disk) return published;
  const auto file = files.transformer / "config.json";
  return Config::from_json(read_json(file), file.string());
}

}  // namespace pyracast
