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
  const int64_t batch = qkv.shape[0], tokens = qkv.shape[1], beside = qkv.shape[2], heads = qkv.shape[4], size = qkv.shape[5], width = heads * size;
  const Shape sequences{batch * beside, tokens, heads, size}, rows{batch, beside, tokens, width};
  const Shape in_order{tokens * beside * width, tokens * width, width, 1}, between{tokens * beside * width, width, beside * width, 1};
  const Temporary q(*this, sequences), k(*this, sequences), v(*this, sequences), mixed(*this, sequences);
  int64_t part = 0;
  for (const Temporary* x : {&q, &k, &v})
    copy(qkv, part++ * width, {3 * between[0], 3 * between[1], 3 * between[2], 1}, x->view, 0, in_order, rows);
  if (with.q_norm) {
    rms_norm(q.view, with.epsilon, *with.q_norm, q.view);
    rms_norm(k.view, with.epsilon, *with.k_norm, k.view);
  }
  if (with.cosines) {
    const Temporary turned_q(*this, sequences), turned_k(*this, sequences);
    rotate(q.view, *with.cosines, *with.sines, turned_q.view);
    rotate(k.view, *with.cosines, *with.sines, turned_k.view);
    attention(turned_q.view, turned_k.view, v.view, with.scale, nullptr, {}, mixed.view);
  } else {
    attention(q.view, k.view, v.view, with.scale, nullptr, {}, mixed.view);
  }
  copy(mixed.view, 0, in_order, out, 0, between, rows);
}

}  // namespace pyracast
