#include "pipeline/frame_conditioning.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct FrameConditioning : testing::Test {
  std::unique_ptr<Backend> backend = make_cpu_backend();
  Tensor latents{*backend, {1, 1, 4, 1, 1}, {1, 2, 3, 4}};
  std::vector<EncodedReference> references{EncodedReference::whole(Tensor(*backend, {1, 3, 1, 1}, {7, 8, 9}))};
  std::vector<float> apply(std::string_view strategy, int64_t loop, std::optional<int64_t> align = {}) {
    const auto rows = parse_mask_strategy(strategy);
    return apply_mask_strategy(latents, references, rows, loop, align);
  }
};

TEST_F(FrameConditioning, CopiesFramesAndMarksThem) {
  EXPECT_THAT(apply("0,0,-2,1,2,0.25", 0), ElementsAre(1, 0.25f, 0.25f, 1));
  EXPECT_THAT(latents.to_host(), ElementsAre(1, 8, 9, 4));
}

TEST_F(FrameConditioning, LeavesRowsOfOtherLoopsAlone) {
  EXPECT_THAT(apply("1,0,0,0,1", 0), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(latents.to_host(), ElementsAre(1, 2, 3, 4));
}

TEST_F(FrameConditioning, CopiesNoMoreThanThereIs) {
  EXPECT_THAT(apply("0,0,0,-1,9", 0), ElementsAre(1, 1, 1, 0));
  EXPECT_THAT(latents.to_host(), ElementsAre(1, 2, 3, 7));
}

TEST_F(FrameConditioning, RefusesReferencesAndFramesThatAreNotThere) {
  EXPECT_THAT(error_of([&] { apply("0,1", 0); }), HasSubstr("names reference 1, but there are 1"));
  EXPECT_THAT(error_of([&] { apply("0,0,-9", 0); }), HasSubstr("3 latent frames"));
  EXPECT_THAT(error_of([&] { apply("0,0,0,9", 0); }), HasSubstr("of 4"));
}

}  // namespace
}  // namespace pyracast
