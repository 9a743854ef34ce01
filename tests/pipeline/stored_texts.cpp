// Texts that were encoded beforehand, or are encoded by an encoder that passes: the same videos, with less memory.
#include "pipeline/stored_texts.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <regex>

#include "base/file.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "pipeline/memory_plan.hpp"
#include "pipeline/texts_to_store.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

const std::string an_encoder(64, 'e');
const auto silent = [](const std::string&) {};

HostTensor numbers(int64_t rows, int64_t width, float first) {
  HostTensor tensor{{rows, width}, std::vector<float>(size_t(rows * width))};
  for (float& value : tensor.values) value = first++;
  return tensor;
}

/// Changes the byte at `offset`, counted from the end where it is negative.
void flip(const fs::path& path, int64_t offset) {
  std::string bytes = read_file(path);
  bytes.at(size_t(offset < 0 ? int64_t(bytes.size()) + offset : offset)) ^= 1;
  std::ofstream(path, std::ios::binary) << bytes;
}

struct StoredTextsTest : testing::Test {
  TemporaryFolder folder;
  const fs::path path = folder / "a.texts", unsealed = folder / "a.texts.tmp";
  const std::vector<TextToEncode> texts{{"a star", 5}, {"a circle", 5}, {"a star", 5, TextPadding::read}};

  TextFile written() const {
    TextFile file(path, an_encoder, 3);
    for (size_t i = 0; i < texts.size(); ++i) file.append(key_of(texts[i]), numbers(int64_t(i) + 1, 3, float(100 * i)));
    return file;
  }
  void expect_all(const StoredTexts& stored, size_t count) const {
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto found = stored.find(texts[i]);
      ASSERT_EQ(found.has_value(), i < count) << i;
      if (!found) continue;
      EXPECT_EQ(found->values, numbers(int64_t(i) + 1, 3, float(100 * i)).values);
    }
  }
};

TEST_F(StoredTextsTest, AreFoundAsTheyWereWritten) {
  written().seal();
  EXPECT_FALSE(fs::exists(unsealed));
  const StoredTexts stored({path}, an_encoder, silent);
  expect_all(stored, 3);
  EXPECT_FALSE(stored.find({"a star", 6}));
  EXPECT_FALSE(stored.find({"a square", 5}));
}

TEST_F(StoredTextsTest, OfAnotherEncoderAreLeftOut) {
  written().seal();
  EXPECT_FALSE(StoredTexts({path}, std::string(64, 'f'), silent).find(texts[0]));
}

TEST_F(StoredTextsTest, ThatAreDamagedAreToldAndNotGivenAndAnotherFileMayHaveThem) {
  written().seal();
  flip(path, 80 + 104 + 5);   // in the first embedding
  std::vector<std::string> said;
  const StoredTexts stored({path}, an_encoder, [&](const std::string& message) { said.push_back(message); });
  EXPECT_FALSE(stored.find(texts[0]));
  EXPECT_TRUE(stored.find(texts[1]));
  EXPECT_THAT(said, testing::ElementsAre(testing::HasSubstr("is not what was written (\"a star\")")));
  TextFile again(folder / "b.texts", an_encoder, 3);
  again.append(key_of(texts[0]), numbers(1, 3, 0));
  again.seal();
  expect_all(StoredTexts({path, folder / "b.texts"}, an_encoder, silent), 3);
}

TEST_F(StoredTextsTest, OfAFileWhoseIndexIsDamagedAreRefusedAndSalvaged) {
  written().seal();
  for (const int64_t byte : {int64_t(-1), int64_t(-70), int64_t(-200), int64_t(70)}) {
    const std::string whole = read_file(path);
    flip(path, byte);
    EXPECT_FALSE(is_sealed_text_file(path)) << byte;
    EXPECT_THROW(StoredTexts({path}, an_encoder, silent), Error);
    std::ofstream(path, std::ios::binary) << whole;
  }
  flip(path, -1);
  fs::rename(path, unsealed);
  TextFile::left_behind(unsealed).seal();
  expect_all(StoredTexts({path}, an_encoder, silent), 3);
}

TEST_F(StoredTextsTest, ThatAKilledJobLeftBehindAreKeptUpToTheTornOne) {
  written();
  const auto whole = fs::file_size(unsealed);
  fs::resize_file(unsealed, whole - 4);
  TextFile file = TextFile::left_behind(unsealed);
  EXPECT_EQ(file.texts(), 2u);
  file.seal();
  expect_all(StoredTexts({path}, an_encoder, silent), 2);
}

TEST_F(StoredTextsTest, OfAFileWithoutASoundHeaderAreNone) {
  std::ofstream(unsealed) << "PYRATX";
  EXPECT_THROW(TextFile::left_behind(unsealed), Error);
  EXPECT_FALSE(is_sealed_text_file(unsealed));
}

TEST_F(StoredTextsTest, OfWhichThereAreNoneLeaveNoFile) {
  TextFile(path, an_encoder, 3).seal();
  EXPECT_TRUE(fs::is_empty(folder / ""));
}

struct TextsOfFamily : FamilyTest {
  static int64_t most_in_use(const Backend& backend) { return int64_t(static_cast<const CpuBackend&>(backend).pool().most_in_use()); }
  static int64_t held(const Backend& backend) { return int64_t(static_cast<const CpuBackend&>(backend).pool().bytes_held()); }

  /// Of a request's texts, encoded with nothing but the encoder on `backend`.
  static std::shared_ptr<const StoredTexts> encoded(const VideoRequest& request, Backend& backend, const fs::path& path) {
    const auto alone = make_lone_communicator();
    TeamTextEncoder encoder = open_text_encoder(model().text_encoder_files(), backend, {}, {}, true);
    TextFile file(path, an_encoder, model().text_encoder_files().width);
    for (const TextToEncode& text : model().texts(request)) file.append(key_of(text), embedding_to_store(encoder, text, backend, *alone));
    file.seal();
    return std::make_shared<const StoredTexts>(std::vector{path}, an_encoder, silent);
  }

  static VideoRequest request_with_long_prompt() {
    VideoRequest request = FamilyTest::request(4);
    request.prompt = longest_prompt();
    return request;
  }
};

TEST_P(TextsOfFamily, GiveTheSameVideoEncodedBeforehandOrByAPassingEncoder) {
  const TemporaryFolder folder;
  VideoRequest short_prompt = request(4), empty = request(4), long_negative = request(4);
  empty.prompt = "";
  if (GetParam() != std::string("opensora-1.2")) long_negative.negative_prompt = "blurry, watermark, low quality, static, distorted, text, logo";
  else short_prompt.negative_prompt = empty.negative_prompt = long_negative.negative_prompt = "";
  int file = 0;
  for (const VideoRequest& request : {short_prompt, empty, long_negative, request_with_long_prompt()})
    for (const int ranks : {1, 2}) {
      const VideoResult resident = made_by(model(), ranks, false, request, {}).front();
      ASSERT_EQ(resident.outcome, Outcome::going_on) << resident.reason;
      const auto stored = encoded(request, *make_cpu_backend(), folder / concat(++file, ".texts"));
      for (const TextSource& source : {TextSource{TextEncoding::offload}, TextSource{TextEncoding::once, stored}})
        for (const VideoResult& result : made_by(model(), ranks, false, request, {}, nullptr, {}, {}, nullptr, source)) {
          EXPECT_EQ(result.latents, resident.latents);
          EXPECT_EQ(result.video.rgb, resident.video.rgb);
          EXPECT_EQ(result.embedding, resident.embedding);
          EXPECT_EQ(result.embedding_shape, resident.embedding_shape);
          EXPECT_EQ(result.encoded_prompt, resident.encoded_prompt);
        }
    }
}

TEST_P(TextsOfFamily, TakeWhatIsPlannedAndTheEncoderIsGoneWhenTheTransformerComes) {
  const TemporaryFolder folder;
  const VideoRequest request = request_with_long_prompt();
  const auto backend = make_cpu_backend();
  const auto stored = encoded(request, *backend, folder / "a.texts");
  const int64_t texts = plan_text_encoding(model(), {}, request).most_bytes();
  EXPECT_EQ(most_in_use(*backend), texts);
  backend->release_idle();
  EXPECT_EQ(held(*backend), 0);

  const TeamChannels alone = lone_channels();
  const auto pipeline = model().open(*backend, {}, alone, {TextEncoding::once, stored});
  PhiloxNoise noise{0, "", 0};
  EXPECT_EQ(pipeline->generate(request, {noise}).outcome, Outcome::going_on);
  const MemoryPlan resident = plan_memory(model(), {}, request, {}, {}), once = plan_memory(model(), {}, request, {}, {.texts = TextEncoding::once});
  EXPECT_EQ(most_in_use(*backend), std::max(texts, once.most_bytes()));
  EXPECT_EQ(resident.weight_bytes - once.weight_bytes, plan_text_encoding(model(), {}, request).weight_bytes);
  EXPECT_LT(once.most_bytes(), resident.most_bytes());
}

TEST_P(TextsOfFamily, TakeWhatIsPlannedOfAPassingEncoderOnATeam) {
  const VideoRequest request = request_with_long_prompt();
  for (const int ranks : {1, 2}) {
    std::vector<int64_t> most(static_cast<size_t>(ranks));
    made_by(model(), ranks, false, request, {}, nullptr, {}, [&](int rank, Backend& backend) { most[size_t(rank)] = most_in_use(backend); }, nullptr,
            {TextEncoding::offload});
    for (int rank = 0; rank < ranks; ++rank) {
      const MemoryPlan plan = plan_memory(model(), {}, request, {}, {.rank = rank, .ranks = ranks, .texts = TextEncoding::offload});
      EXPECT_EQ(plan.most_bytes(), most[size_t(rank)]) << "rank " << rank << " of " << ranks;
      EXPECT_EQ(plan.weight_bytes, plan_memory(model(), {}, request, {}, {.rank = rank, .ranks = ranks, .texts = TextEncoding::once}).weight_bytes);
    }
  }
}

TEST_P(TextsOfFamily, TakeOnDiskWhatIsCountedBeforehand) {
  const TemporaryFolder folder;
  VideoRequest other = request(4);
  other.prompt = longest_prompt();
  other.negative_prompt = "blurry, watermark";
  TextsToStore all(model());
  uint64_t bytes = 0, texts = 0;
  for (const VideoRequest& request : {request(4), other}) {
    encoded(request, *make_cpu_backend(), folder / "a.texts");
    TextsToStore counted(model());
    counted.add(request);
    EXPECT_EQ(counted.bytes(1), fs::file_size(folder / "a.texts"));
    for (int sample = 0; sample < 2; ++sample) all.add(request);
    bytes += counted.bytes(1), texts += counted.count();
    fs::remove(folder / "a.texts");
  }
  EXPECT_EQ(all.bytes(2), bytes);
  EXPECT_EQ(all.count(), texts);
}

TEST_P(TextsOfFamily, AreEncodedOnceForSamplesThatFollowOneAnother) {
  const auto backend = make_cpu_backend();
  const auto alone = make_lone_communicator();
  const TextEncoderFiles files = model().text_encoder_files();
  int opened = 0, encoded = 0;
  TeamTextEncoder encoder(Tokenizer(files.tokenizer), files.width, [&]() -> Embed {
    ++opened;
    return [&](const TextToEncode& text, const Tokenizer::Tokens& tokens) {
      ++encoded;
      return Tensor(*backend, {1, text.given(tokens.length), files.width});
    };
  });
  const std::vector<TextToEncode> texts{{"a star", 10}, {"", 10, TextPadding::read}}, others{{"a circle", 10}, {"", 10, TextPadding::read}};
  encoder(texts, *backend, *alone);
  encoder(texts, *backend, *alone);
  EXPECT_EQ(std::pair(opened, encoded), std::pair(1, 2));
  encoder(others, *backend, *alone);
  EXPECT_EQ(std::pair(opened, encoded), std::pair(2, 3));
}

TEST_P(TextsOfFamily, ThatAreNotAmongThoseEncodedBeforehandEndTheJob) {
  const TemporaryFolder folder;
  const auto stored = encoded(request(4), *make_cpu_backend(), folder / "a.texts");
  const auto backend = make_cpu_backend();
  const TeamChannels alone = lone_channels();
  const auto pipeline = model().open(*backend, {}, alone, {TextEncoding::once, stored});
  PhiloxNoise noise{0, "", 0};
  VideoRequest other = request(4);
  other.prompt = "a blue star";
  const std::string error = error_of([&] { pipeline->generate(other, {noise}); });
  EXPECT_THAT(error, testing::HasSubstr("is not among the texts encoded beforehand"));
}

INSTANTIATE_TEST_SUITE_P(Families, TextsOfFamily, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& info) { return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_"); });

}  // namespace
}  // namespace pyracast
