#pragma once
// Learned perceptual similarity (Zhang et al., arXiv 1801.03924), as the published package `lpips` computes it with
// spatial = True: each layer's map of differences is enlarged to the picture, and the mean over the picture is taken.
#include "nn/layers.hpp"

namespace pyracast {

/// Pictures [batch, 3, height, width] in -1 to 1 under the package's shift and scale of colours.
Tensor lpips_scaled(const Tensor& pictures);

/// What is made of a network's features of two pictures; keys `lin0.model.1.weight` … of the package's file.
class LpipsHeads {
 public:
  /// `channels`: of each layer of features.
  LpipsHeads(const Weights& weights, std::vector<int64_t> channels);

  struct Distance {
    std::vector<std::vector<double>> layers;   ///< [layers][batch]: means over the picture
    std::vector<std::vector<float>> maps;      ///< [batch][height * width]: the sum over layers
    std::vector<double> means;                 ///< [batch]
  };
  /// a, b: features [batch, channels, height, width] of each layer.
  Distance operator()(const std::vector<Tensor>& a, const std::vector<Tensor>& b, int64_t height, int64_t width) const;

 private:
  std::vector<std::vector<float>> weights_;
};

/// The least height and width of a picture: the last stages need a window to pool.
inline constexpr int64_t lpips_smallest = 63;

/// The whole metric: AlexNet's or VGG16's features (torchvision's state dict, keys `features.N.weight` and `.bias`) and heads.
class Lpips {
 public:
  /// Which of the two networks it is follows from the weights. Throws Error where they are neither, or do not fit the heads.
  Lpips(const Weights& backbone, const Weights& heads);

  const std::string& backbone() const { return name_; }
  /// a, b: pictures [batch, 3, height, width] in -1 to 1, at least lpips_smallest high and wide. One distance a picture.
  std::vector<double> operator()(const Tensor& a, const Tensor& b) const;

  /// Features [batch, channels, height, width] after each block of the backbone, of pictures as lpips_scaled() gives them.
  std::vector<Tensor> features(const Tensor& pictures) const;

 private:
  struct Stage {
    bool pooled = false;   // a maximum over windows comes first
    int64_t pool_size = 0;
    std::vector<Convolution> convolutions;   // each with a ReLU behind it
  };
  std::string name_;
  std::vector<Stage> stages_;
  LpipsHeads heads_;
};

}  // namespace pyracast
