#include "dataset/sample_differences.hpp"

#include "dataset/mp4.hpp"
#include "samples.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CompareSamples : public RunFolder {
 protected:
  SampleRecord stored_ = full_sample(0), made_ = full_sample(0);
  TemporaryFolder again_;

  CompareSamples() {
    write(output_, stored_, 18);
    write(again_.path(), made_, 18);
  }
  static void write(const std::filesystem::path& folder, SampleRecord& record, int crf, uint8_t level = 90) {
    std::filesystem::create_directories((folder / record.video).parent_path());
    write_mp4(folder / record.video, Video{2, 16, 16, 8, std::vector<uint8_t>(2 * 16 * 16 * 3, level)}, {{"comment", concat(crf)}}, crf);
    record.video_sha256 = sha256_of_file(folder / record.video);
  }
  SampleDifferences compare() const { return compare_samples(stored_, output_, made_, again_.path()); }
};

TEST_F(CompareSamples, FindsEqualOnesEqual) {
  EXPECT_THAT(compare().differing, IsEmpty());
  EXPECT_EQ(compare().first, "");
  EXPECT_THAT(compare().compared,
              testing::IsSupersetOf({"latents", "text_embedding", "frames", "encoded_prompt", "perceptual_hash", "video_sha256"}));
}

TEST_F(CompareSamples, NamesWhatWasMadeFirstOfAllThatDiffers) {
  made_.latents.values.at(1) += 0.5f;
  made_.perceptual_hash = "x";
  write(again_.path(), made_, 18, 200);
  const SampleDifferences found = compare();
  EXPECT_THAT(found.differing, ElementsAre("latents", "perceptual_hash", "video_sha256"));
  EXPECT_THAT(found.first, HasSubstr("latents differ: 1 of "));
  made_.encoded_prompt = "another";
  EXPECT_THAT(compare().first, HasSubstr("encoded_prompt is "));
}

TEST_F(CompareSamples, NamesTheEvaluationFromWhichStepLatentsDiffer) {
  stored_.step_latents = made_.step_latents = {{3, 1, 1, 1, 2}, {1, 2, 3, 4, 5, 6}};
  made_.step_latents.values[3] = 0;
  EXPECT_EQ(compare().first, "step_latents differ from evaluation 1 on: 1 of 6 values, by 4 at most");
}

TEST_F(CompareSamples, TellsAnotherEncoderFromOtherPixels) {
  // The same pixels with another comment: other bytes.
  write_mp4(again_.path() / made_.video, Video{2, 16, 16, 8, std::vector<uint8_t>(2 * 16 * 16 * 3, 90)}, {{"comment", "another"}}, 18);
  made_.video_sha256 = sha256_of_file(again_.path() / made_.video);
  EXPECT_THAT(compare().first, HasSubstr("decode to the same pixels"));
  write(again_.path(), made_, 18, 200);
  EXPECT_THAT(compare().first, HasSubstr("decode to other pixels"));
  std::filesystem::remove(output_ / stored_.video);
  EXPECT_THAT(compare().first, HasSubstr("which is not there any more"));
}

TEST_F(CompareSamples, NamesAStoredFileThatIsNotWhatItsRowSays) {
  flip_bit(output_ / stored_.video, 100);
  EXPECT_THAT(compare().differing, ElementsAre("video"));
}

}  // namespace
}  // namespace pyracast
