#include "parity/text_to_video.hpp"

namespace pyracast {

namespace {

class GivenStepNoise final : public NoiseSource {
 public:
  explicit GivenStepNoise(const Case& parity_case) : case_(parity_case) {}
  std::vector<float> draw(NoiseUse, int, int step, const Shape&) override { return slice(case_.input("step_noise"), 0, step, step + 1).to_host(); }

 private:
  const Case& case_;
};

}  // namespace

LoopTensors loop_tensors(const Case& c, const TextToVideo& pipeline, const PromptEmbeddings& text, const VideoRequest& request,
                         const BroadcastPolicy& policy) {
  LoopTensors shown;
  GivenStepNoise noise(c);
  VideoRun run{noise};
  run.broadcast = policy;
  run.observe = Observer([&](const std::string& name, const Tensor& value) {
    if (name == "latents") shown.latents.push_back(value);
    else if (shown.latents.empty()) shown.of_the_first.emplace_back(name, value);
  });
  VideoProgress progress;
  const auto latents = pipeline.denoise(c.input("latents"), text, request, run, progress);
  require(latents.has_value(), c.where(), ": the loop broke off: ", progress.result.reason);
  return shown;
}

}  // namespace pyracast
