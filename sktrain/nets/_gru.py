"""A gated recurrent unit that trains in few operations on CPUs. Step t of what it gives depends on
the steps up to t alone.

torch has a fused kernel for LSTMs on CPUs and none for GRUs: there autograd records some twenty
small operations a step. Here the backward pass is written by hand, six operations a step forward
and five backward.
"""

import torch
from torch import nn

__all__ = ["GRU"]


class _Recurrence(torch.autograd.Function):
    """All states and the last one, of rows (n, steps, features) and torch's weights, which stack
    the gates r, z, n.

    With c = W_hn h + b_hn, torch's unit is h' = (1 - z) n + z h, n = tanh(a_n + r c), r and z =
    sigmoid(a + W h + b). Inside, features come before rows: every gate of a step is one piece of
    memory.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, X, w_in, w_state, b_in, b_state):
        size, n_steps = w_state.shape[1], X.shape[1]
        X = X.permute(1, 2, 0)
        bias = torch.cat([b_in[: 2 * size] + b_state[: 2 * size], b_in[2 * size :]])
        gates = torch.baddbmm(bias.view(1, -1, 1), w_in.expand(n_steps, -1, -1), X)
        inner = gates.new_empty(n_steps, size, X.shape[2]).copy_(b_state[2 * size :].unsqueeze(1))
        states = gates.new_zeros(n_steps + 1, *inner.shape[1:])
        r, z, n = gates.unflatten(1, (3, size)).unbind(1)
        steps = (gates[:, : 2 * size], r, z, n, inner, states[:-1], states[1:])
        for rz, r, z, n, c, h, new in zip(*(part.unbind() for part in steps)):
            rz.addmm_(w_state[: 2 * size], h).sigmoid_()
            c.addmm_(w_state[2 * size :], h)
            n.addcmul_(r, c).tanh_()
            torch.lerp(n, h, z, out=new)
        ctx.save_for_backward(X, w_in, w_state, gates, inner, states)
        ctx.set_materialize_grads(False)
        return states[1:].permute(2, 0, 1), states[-1].t().unsqueeze(0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, grad, grad_last):  # type: ignore[override]  # one for each output
        X, w_in, w_state, gates, inner, states = ctx.saved_tensors
        size = w_state.shape[1]
        r, z, n = gates.unflatten(1, (3, size)).unbind(1)
        slopes = _slopes(r, z, n, inner, states[:-1])  # times dh: of a_n, a_r, a_z and c
        each = slopes.flatten(1, 2)
        by_input, by_state = each[:, : 3 * size], each[:, size:]
        d_in, d_state = torch.zeros_like(w_in), torch.zeros_like(w_state)
        dh = torch.zeros_like(states[0]) if grad_last is None else grad_last[0].t().contiguous()
        arriving = [None] * len(X) if grad is None else grad.permute(1, 2, 0).unbind()
        parts = (slopes, by_input, by_state, z, X.transpose(1, 2), states[:-1].transpose(1, 2))
        steps = zip(arriving, *(part.unbind() for part in parts), strict=True)
        for d, slope, a, b, z, x, h in reversed(list(steps)):
            if d is not None:
                dh += d
            slope.mul_(dh)
            d_in.addmm_(a, x)
            d_state.addmm_(b, h)
            dh.mul_(z).addmm_(w_state.t(), b)
        d_bias = each.sum((0, 2))
        d_X = None
        if ctx.needs_input_grad[0]:
            d_X = torch.matmul(w_in.roll(size, 0).t(), by_input).permute(2, 0, 1)
        return d_X, d_in.roll(-size, 0), d_state, d_bias[: 3 * size].roll(-size), d_bias[size:]


def _slopes(r, z, n, inner, before):
    """Derivatives of a step's new state by a_n, a_r, a_z and c: shape (steps, 4, size, rows)."""
    slopes = z.new_empty(len(z), 4, *z.shape[1:])
    by_n, by_r, by_z, by_c = slopes.unbind(1)
    torch.mul(1 - z, 1 - n * n, out=by_n)
    torch.mul(by_n, r, out=by_c)
    torch.mul(by_c, inner, out=by_r).mul_(1 - r)
    torch.mul(before - n, z, out=by_z).mul_(1 - z)
    return slopes


class GRU(nn.GRU):
    """torch's layer, with the recurrence above where it trains on a CPU; there it works in float32
    under autocast too.

    One layer, one direction, rows first, no state to begin with. A second derivative needs
    ``eval()``.
    """

    def forward(self, X):  # type: ignore[override]  # there is no state to begin with
        """States (n, steps, size) of rows (n, steps, features), and the last state (1, n, size)."""
        ours = self.training and torch.is_grad_enabled() and X.device.type == "cpu"
        if not ours or torch.compiler.is_compiling():
            return super().forward(X)
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        return _Recurrence.apply(X, *weights)
