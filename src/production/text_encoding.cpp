#include "production/text_encoding.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <unordered_set>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/stopwatch.hpp"
#include "dataset/layout.hpp"
#include "pipeline/texts_to_store.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/progress_lines.hpp"
#include "runtime/share_text.hpp"
#include "runtime/signals.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

constexpr const char* const extension = ".texts";
constexpr const char* const temporary = ".tmp";   // of a file that is being written

/// A text that is to be encoded, by where it stands.
struct WantedText {
  std::array<char, 32> key;
  uint64_t prompt;   ///< row of the manifest
  uint32_t number;   ///< among those of the row
  uint32_t bytes;
};
static_assert(sizeof(WantedText) == 48);

fs::path folder_of(const TextJob& job) { return OutputLayout{job.settings.output}.texts(); }

/// What the embeddings follow from, besides the text: 64 characters.
std::string encoder_of(const Fingerprint& fingerprint) {
  const Json& content = fingerprint.content;
  const Json& snapshot = content.at("snapshot");
  return sha256(Json{{"text_encoder", snapshot.at("text_encoder")}, {"tokenizer", snapshot.at("tokenizer")}, {"device", content.at("device")},
                     {"dtype", content.at("settings").at("dtype")}}.dump());
}

/// Waits asleep until all ranks are here.
void wait_for_all(const Ranks& ranks) {
  MPI_Request request;
  check_mpi(MPI_Ibarrier(ranks.world(), &request), "encoding texts");
  await(request, "encoding texts");
}

/// Whether one of the ranks says so.
bool any(const Ranks& ranks, bool own) {
  int answer = own;
  MPI_Request request;
  check_mpi(MPI_Iallreduce(MPI_IN_PLACE, &answer, 1, MPI_INT, MPI_MAX, ranks.world(), &request), "encoding texts");
  await(request, "encoding texts");
  return answer != 0;
}

/// The files in the folder as rank 0 sees it, on all ranks. Another node may see it as it was for some seconds (NFS).
std::vector<fs::path> files_of(const TextJob& job) {
  const fs::path folder = folder_of(job);
  const Json names = Json::parse(text_of_first(job.ranks, [&] {
    std::vector<std::string> found;
    if (fs::is_directory(folder))
      for (const auto& entry : fs::directory_iterator(folder)) found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return Json(found).dump();
  }));
  std::vector<fs::path> files;
  for (const auto& name : names) files.push_back(folder / name.get<std::string>());
  return files;
}

/// Seals what a killed job left behind, or what of a damaged file is sound.
void salvage(const fs::path& left_behind) {
  try {
    TextFile file = TextFile::left_behind(left_behind);
    spdlog::info("{}: {} texts in it are sound and kept", left_behind.string(), file.texts());
    file.seal();
  } catch (const Error& error) {
    if (error.code != ExitCode::bad_input) throw;
    spdlog::warn("{}; it is removed, its texts are encoded again", error.what());
    fs::remove(left_behind);
  }
}

/// Afterwards the folder holds sealed files alone; each is looked at by one rank.
void put_in_order(const TextJob& job) {
  const std::vector<fs::path> files = files_of(job);
  for (size_t i = size_t(job.ranks.rank()); i < files.size(); i += size_t(job.ranks.size())) {
    if (files[i].extension() == temporary) salvage(files[i]);
    else if (files[i].extension() == extension && !is_sealed_text_file(files[i])) {
      spdlog::warn("{}: its index of encoded texts is not what was written; what is sound in it is kept", files[i].string());
      const fs::path unsealed = files[i].string() + temporary;
      fs::rename(files[i], unsealed);
      salvage(unsealed);
    }
  }
  wait_for_all(job.ranks);
}

std::shared_ptr<const StoredTexts> open_texts(const TextJob& job) {
  using namespace std::chrono_literals;
  std::vector<fs::path> files = files_of(job);
  std::erase_if(files, [](const fs::path& path) { return path.extension() != extension; });
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  for (const fs::path& path : files)
    while (!fs::exists(path)) {
      require(std::chrono::steady_clock::now() < give_up, "host ", job.ranks.node_name(), " does not see ", path.string(),
              ", which rank 0 sees; the output folder must be on a file system of all nodes");
      std::this_thread::sleep_for(200ms);
    }
  return std::make_shared<const StoredTexts>(files, encoder_of(job.fingerprint),
                                             [](const std::string& message) { spdlog::warn("{}; it is encoded again", message); });
}

/// Of each prompt whether a sample of it is left to be made, as rank 0 knows.
std::vector<uint8_t> prompts_left(const TextJob& job) {
  std::vector<uint8_t> left(job.manifest.size());
  if (job.ranks.rank() == 0)
    for (uint64_t prompt = 0; prompt < left.size(); ++prompt)
      for (uint32_t sample = 0; sample < job.manifest.entry(prompt).samples && !left[prompt]; ++sample) left[prompt] = !job.finished(prompt, sample);
  check_mpi(MPI_Bcast(left.data(), int(left.size()), MPI_UINT8_T, 0, job.ranks.world()), "telling what is left to be made");
  return left;
}

std::vector<TextToEncode> texts_of_row(const TextJob& job, uint64_t prompt) {
  return texts_to_store(job.model, job.requests(job.manifest.row(prompt)));
}

bool is_to_stop(const TextJob& job) { return asked_to_stop() || !job.time.suffices_for_evaluation(); }

/// This rank's share of the prompts: each text that is not stored, or damaged there, once. Ends early where the job is to stop.
std::vector<WantedText> wanted_of_rank(const TextJob& job, const StoredTexts& stored) {
  const std::vector<uint8_t> left = prompts_left(job);
  std::vector<WantedText> wanted;
  std::unordered_set<std::string> seen;
  for (uint64_t prompt = uint64_t(job.ranks.rank()); prompt < left.size() && !is_to_stop(job); prompt += uint64_t(job.ranks.size())) {
    if (!left[prompt]) continue;
    const std::vector<TextToEncode> texts = texts_of_row(job, prompt);
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string key = key_of(texts[i]);
      if (!seen.insert(key).second || stored.find(texts[i])) continue;
      WantedText text{{}, prompt, uint32_t(i), uint32_t(texts[i].text.size())};
      std::copy(key.begin(), key.end(), text.key.begin());
      wanted.push_back(text);
    }
  }
  return wanted;
}

/// On rank 0 what the ranks want, each text once, the longest first: so all ranks end at about the same time.
std::vector<WantedText> gathered(const Ranks& ranks, const std::vector<WantedText>& own) {
  MPI_Datatype type;
  check_mpi(MPI_Type_contiguous(sizeof(WantedText), MPI_BYTE, &type), "gathering texts");
  check_mpi(MPI_Type_commit(&type), "gathering texts");
  const int count = int(own.size());
  std::vector<int> counts(size_t(ranks.size())), offsets(counts.size());
  check_mpi(MPI_Gather(&count, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, ranks.world()), "gathering texts");
  for (size_t rank = 1; rank < counts.size(); ++rank) offsets[rank] = offsets[rank - 1] + counts[rank - 1];
  std::vector<WantedText> all(ranks.rank() == 0 ? size_t(offsets.back() + counts.back()) : 0);
  check_mpi(MPI_Gatherv(own.data(), count, type, all.data(), counts.data(), offsets.data(), type, 0, ranks.world()), "gathering texts");
  check_mpi(MPI_Type_free(&type), "gathering texts");
  std::sort(all.begin(), all.end(), [](const WantedText& a, const WantedText& b) { return std::tie(a.key, a.prompt) < std::tie(b.key, b.prompt); });
  all.erase(std::unique(all.begin(), all.end(), [](const WantedText& a, const WantedText& b) { return a.key == b.key; }), all.end());
  std::stable_sort(all.begin(), all.end(), [](const WantedText& a, const WantedText& b) { return a.bytes > b.bytes; });
  return all;
}

/// Where this rank writes.
fs::path free_name(const TextJob& job) {
  const std::string name = concat("run-", job.attempt, "-rank-", job.ranks.rank());
  fs::path path = folder_of(job) / (name + extension);
  for (int n = 1; fs::exists(path); ++n) path = folder_of(job) / concat(name, '-', n, extension);
  return path;
}

/// The texts of `wanted`, which rank 0 has, one after the other to whichever rank is free. False where the job is to stop.
bool encode_wanted(TextJob& job, const std::vector<WantedText>& wanted) {
  const auto alone = make_lone_communicator();
  std::optional<TeamTextEncoder> encoder;
  read_on_nodes(job.ranks, job.settings.model, [&](WeightStorage storage) {
    encoder = open_text_encoder(job.model.text_encoder_files(), job.backend, storage, {}, true);
  });
  const Team team{job.ranks.rank(), job.ranks.size(), 0, 1, duplicate(MPI_COMM_SELF)};
  size_t given = 0;
  const auto take = [&]() -> std::optional<Claim> {
    if (given == wanted.size()) return std::nullopt;
    const WantedText& text = wanted[given++];
    return Claim{text.prompt, text.number, 1};
  };
  WorkQueue queue(job.ranks, team, {take, {.total = wanted.size()}}, asked_to_stop);
  std::optional<TextFile> file;
  bool going_on = true;
  {
    const ProgressLines lines(job.ranks, queue, job.settings.verbose, "text", " encoded");
    while (const auto claim = going_on ? queue.next() : std::nullopt) {
      const Stopwatch time;
      const TextToEncode text = texts_of_row(job, claim->prompt).at(claim->first_sample);
      const HostTensor embedding = embedding_to_store(*encoder, text, job.backend, *alone);
      if (!file) file.emplace(free_name(job), encoder_of(job.fingerprint), embedding.shape[1]);
      file->append(key_of(text), embedding);
      queue.report(1, 0);
      job.time.evaluation_took(time.seconds());
      going_on = job.time.suffices_for_evaluation();
    }
    if (file) {
      spdlog::info("{} texts encoded", file->texts());
      file->seal();
    }
    queue.leave();   // the last line counts what all ranks have encoded
  }
  return going_on && !queue.stopped();
}

}  // namespace

std::shared_ptr<const StoredTexts> encode_texts(TextJob job) {
  job.ranks.on_first([&] { make_folder(folder_of(job)); });
  put_in_order(job);
  std::vector<WantedText> wanted;
  {
    const auto stored = open_texts(job);
    wanted = wanted_of_rank(job, *stored);
  }
  if (any(job.ranks, is_to_stop(job))) return nullptr;
  wanted = gathered(job.ranks, wanted);
  if (any(job.ranks, !wanted.empty())) {
    const bool all = encode_wanted(job, wanted);
    job.backend.release_idle();
    if (any(job.ranks, !all)) return nullptr;   // behind it no rank holds the encoder
  } else if (job.ranks.rank() == 0) {
    std::fprintf(stderr, "pyracast: no text is left to be encoded\n");
  }
  return open_texts(job);
}

}  // namespace pyracast
