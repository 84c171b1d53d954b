"""The equations of ``docs/mathematics.md`` typed out in plain NumPy, float64, dense matrices, one loop a sum.

Nothing here imports simatch: it is what the library is compared with.
"""

import numpy as np

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda u: np.maximum(u, 0),
    "linear": lambda u: u,
    "clip": lambda u: np.clip(u, 0, 1),
}


def importance(gamma, p, layers):
    """gamma^(p - P) for layer p of `layers`; 1 in the limit gamma -> 0."""
    return gamma ** (p - layers) if gamma > 0 else 1.0


def dynamics(x, W, L, gamma, f, steps=4000, step=0.1):
    """Equation (10) by Euler steps: x (samples, K); W, L lists of matrices, bottom to top. Returns r a layer."""
    P = len(W)
    u = [np.zeros((len(x), len(lateral))) for lateral in L]
    for _ in range(steps):
        r = [f(v) for v in u]
        below = [x, *r[:-1]]
        new = []
        for p in range(P):
            current = below[p] @ W[p].T - r[p] @ (L[p] - np.eye(len(L[p]))).T
            if p < P - 1:
                current = current + gamma * r[p + 1] @ W[p + 1]
            new.append(u[p] + step * (current - u[p]))
        u = new
    return [f(v) for v in u]


def rules(x, r, W, L, cW, cL, gamma, eta):
    """Equation (11), averaged over the samples; synapses with c = 0 do not change."""
    P = len(W)
    below = [x, *r[:-1]]
    dW, dL = [], []
    for p in range(P):
        factor = importance(gamma, p + 1, P)
        heard = 1 + gamma * (p < P - 1)
        dw, dl = np.zeros_like(W[p]), np.zeros_like(L[p])
        for i, j in np.argwhere(cW[p] > 0):
            dw[i, j] = eta * factor * (np.mean(r[p][:, i] * below[p][:, j]) - W[p][i, j] / cW[p][i, j])
        for i, j in np.argwhere(cL[p] > 0):
            decay = L[p][i, j] / (heard * cL[p][i, j])
            dl[i, j] = eta / 2 * factor * (np.mean(r[p][:, i] * r[p][:, j]) - decay)
        dW.append(dw)
        dL.append(dl)
    return dW, dL


def bracket(x, r, W, L, gamma, F):
    """Bracket of equation (9) for every sample."""
    P = len(W)
    below = [x, *r[:-1]]
    total = np.zeros(len(x))
    for p in range(P):
        drive = np.einsum("ti,ij,tj->t", r[p], W[p], below[p])
        lateral = np.einsum("ti,ij,tj->t", r[p], L[p], r[p])
        total += importance(gamma, p + 1, P) * (-2 * drive + lateral + 2 * F(r[p]).sum(axis=1))
    return total


def dual(x, r, W, L, cW, cL, gamma, F):
    """Equation (9), mean over the samples."""
    P, total = len(W), bracket(x, r, W, L, gamma, F).mean()
    for p in range(P):
        heard = 1 + gamma * (p < P - 1)
        w, v = cW[p] > 0, cL[p] > 0
        total += importance(gamma, p + 1, P) * np.sum(W[p][w] ** 2 / cW[p][w])
        total -= importance(gamma, p + 1, P) * np.sum(L[p][v] ** 2 / (2 * heard * cL[p][v]))
    return total


def primal(x, r, cW, cL, gamma, F):
    """Equation (8) as it is written: a double sum over samples."""
    P, T = len(r), len(x)
    below = [x, *r[:-1]]
    total = 0.0
    for p in range(P):
        heard = 1 + gamma * (p < P - 1)
        part = 0.0
        for t in range(T):
            for s in range(T):
                post = r[p][t] * r[p][s]
                part += -post @ cW[p] @ (below[p][t] * below[p][s]) + heard / 2 * post @ cL[p] @ post
        total += importance(gamma, p + 1, P) * (part / T**2 + 2 / T * F(r[p]).sum())
    return total


def disc(height, width, stride, radius):
    """Section 4: which sites of a (height, width) grid each site above sees, by brute force."""
    rows = [
        (i * stride + stride / 2, j * stride + stride / 2)
        for i in range(height // stride)
        for j in range(width // stride)
    ]
    columns = [(k + 0.5, m + 0.5) for k in range(height) for m in range(width)]
    return np.array([[np.hypot(a - c, b - d) <= radius + 1e-9 for c, d in columns] for a, b in rows])


def tanh_cost(r):
    """F of the table for tanh, in its published form."""
    return r * np.arctanh(r) + np.log(1 - r**2) / 2 - r**2 / 2
