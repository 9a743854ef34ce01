// Operations made of others, for devices that have no faster way.
#include "kernels/backend.hpp"

namespace pyracast {

namespace {

/// A float32 tensor that lives as long as this.
struct Temporary {
  std::shared_ptr<void> memory;
  View view;
  Temporary(Backend& backend, const Shape& shape) : view{nullptr, DType::float32, shape} {
    memory = backend.allocate(size_t(view.size()) * size_of(view.dtype));
    view.data = memory.get();
  }
};

}  // namespace

void Backend::modulated_norm(View x, float epsilon, View shift, View scale, View out) {
  layer_norm(x, epsilon, nullptr, nullptr, out);
  modulate(out, shift, scale, out);
}

void Backend::add_gated(View x, View branch, View factor, View out) {
  const Temporary gated(*this, x.shape);
  gate(branch, factor, gated.view);
  add(x, gated.view, out);
}

void Backend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const int64_t rows = qkv.shape[0] * qkv.shape[1], width = qkv.shape[3] * qkv.shape[4];
  const Temporary q(*this, out.shape), k(*this, out.shape), v(*this, out.shape);
  int64_t part = 0;
  for (const Temporary* x : {&q, &k, &v})
    copy(qkv, part++ * width, {3 * width, 1}, x->view, 0, {width, 1}, {rows, width});
  if (with.q_norm) {
    rms_norm(q.view, with.epsilon, *with.q_norm, q.view);
    rms_norm(k.view, with.epsilon, *with.k_norm, k.view);
  }
  if (!with.cosines) return attention(q.view, k.view, v.view, with.scale, nullptr, {}, out);
  const Temporary turned_q(*this, out.shape), turned_k(*this, out.shape);
  rotate(q.view, *with.cosines, *with.sines, turned_q.view);
  rotate(k.view, *with.cosines, *with.sines, turned_k.view);
  attention(turned_q.view, turned_k.view, v.view, with.scale, nullptr, {}, out);
}

}  // namespace pyracast
