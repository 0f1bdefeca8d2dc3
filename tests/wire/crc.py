"""CRC-32C as Ceph counts it, in plain Python: slow, and needs no librados."""

_POLYNOMIAL = 0x82F63B78


def _step(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_step(number) for number in range(256)]


def crc32c(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 255]
    return value
