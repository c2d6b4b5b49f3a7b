"""Which 32 bytes are a sound Ed25519 public key: the one encoding of a point of prime order (RFC 8032, section 5.1).

Signature checks alone do not ask that. Points of order 1, 2, 4 and 8 "verify" messages that nobody signed. And whoever
knows the private half of a key A can sign for A + T as well, T being any of those points: eight public keys, each with
an id of its own, for one private key. Two multiplications tell all of them from honest keys, one of them by OpenSSL's
X25519 (RFC 7748), whose curve is the same in other coordinates: in Python alone it takes a millisecond a key.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
#: Multiplies by what is 5 modulo the order, and what X25519 takes as it is: a multiple of 8 from 2^254 to 2^255.
_FIVE = X25519PrivateKey.from_private_bytes((5 + 7 * _ORDER).to_bytes(32, "little"))
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

#: x, y, z and t with x/z and y/z the coordinates and t/z their product (RFC 8032, section 5.1.4).
_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


@lru_cache(maxsize=1024)
def sound(raw: bytes) -> bool:
    """Whether 32 bytes are the canonical encoding of a point of prime order. Public data only: not constant in time."""
    point = _decode(raw)
    return point is not None and point[1] != 1 and _has_prime_order(point)


def _has_prime_order(point: _Point) -> bool:
    """Of any point but the neutral one, with z = 1.

    A point is Q + T, with Q of prime order and T of an order that divides 8, either of which may be neutral. A multiple
    of 8 leaves T out: `_FIVE` times the point is 5 Q, and X25519 refuses to give what is neutral. It is 5 times the
    point, up to sign, only if 5 T is neutral, and so T.
    """
    above, below = _montgomery(point)
    u = above * pow(below, -1, _P) % _P
    try:
        shared = int.from_bytes(_FIVE.exchange(X25519PublicKey.from_public_bytes(u.to_bytes(32, "little"))), "little")
    except ValueError:  # Q is neutral
        return False
    above, below = _montgomery(_times(5, point))
    return (shared * below - above) % _P == 0


def _montgomery(point: _Point) -> tuple[int, int]:
    """As a fraction, the coordinate u by which X25519 knows the point and its opposite (RFC 7748, section 4.1)."""
    return point[2] + point[1], point[2] - point[1]


def _decode(raw: bytes) -> _Point | None:
    """The point, or None where the bytes encode none, or not in the canonical way (RFC 8032, section 5.1.3)."""
    number = int.from_bytes(raw, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * v**3 * pow(u * v**7, (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _SQRT_OF_MINUS_ONE % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else _P - x
    return (x, y, 1, x * y % _P)


def _add(one: _Point, other: _Point) -> _Point:
    """The sum, by the formulas of RFC 8032, section 5.1.4, which hold for all points, equal ones too."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _double(point: _Point) -> _Point:
    """The sum of a point with itself, by the shorter formulas of the same section."""
    a, b = point[0] * point[0], point[1] * point[1]
    h = a + b
    e, g = h - (point[0] + point[1]) ** 2, a - b
    e, f, g, h = e % _P, (2 * point[2] * point[2] + g) % _P, g % _P, h % _P
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(factor: int, point: _Point) -> _Point:
    total = _NEUTRAL
    for bit in bin(factor)[2:]:
        total = _double(total)
        if bit == "1":
            total = _add(total, point)
    return total
