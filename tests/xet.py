"""What clients of a Xet store send, made by hand: xorbs of one to three small chunks, and shards of files that are made of them."""
import functools
import hashlib
import struct

from registry import lfs

CHUNK_MAX = 16384                                       # here: what is hashed in a moment
PIECE = 1024                                            # of BLAKE3
RECIPE = 1 << 20                                        # of smaller files nobody remembers what they are made of
MASK = 0xffffffff
DATA = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
RANGE = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
TAG = bytes.fromhex("48465265706f4d6574614461746100556967456a7b815783a5bdd95ccdd14aa9")
IV = (0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXED = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def _turn(x, n):
    return (x >> n | x << 32 - n) & MASK


def _compress(state, block, flags, number=0):
    m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = [*state, *IV, number, 0, len(block), flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(MIXED):
            for word, first, second in (m[2 * i], 16, 12), (m[2 * i + 1], 8, 7):
                v[a] = (v[a] + v[b] + word) & MASK
                v[d] = _turn(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & MASK
                v[b] = _turn(v[b] ^ v[c], second)
        m = [m[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def _tree(key, data, number, root):
    """The state after a piece of that number, or after several and what stands above them."""
    if len(data) > PIECE:
        half = PIECE << ((len(data) - 1) // PIECE).bit_length() - 1
        below = *_tree(key, data[:half], number, 0), *_tree(key, data[half:], number + half // PIECE, 0)
        return _compress(key, struct.pack("<16I", *below), 16 | 4 | root)
    state, blocks = key, [data[at:at + 64] for at in range(0, len(data), 64)]
    for i, block in enumerate(blocks):
        state = _compress(state, block, 16 | (i == 0) | (2 | root if i == len(blocks) - 1 else 0), number)
    return state


@functools.lru_cache(maxsize=1 << 16)
def blake3(key, data):
    """Keyed; of one byte at least."""
    return struct.pack("<8I", *_tree(struct.unpack("<8I", key), data, 0, 8))


def words(data):
    """As hashes are written: numbers of eight bytes, of which the lowest byte stands first where they lie."""
    return b"".join(data[at:at + 8][::-1] for at in range(0, len(data), 8))


def _level(nodes):
    """Nodes over those: each of up to nine, or to the first one behind the second that says so."""
    at, above = 0, []
    while at < len(nodes):
        ends = [i + 1 for i in range(2, 9) if i < len(nodes) - at and not nodes[at + i][0][24] % 4]
        group = nodes[at:at + (ends[0] if ends else 9)]
        above.append((blake3(NODE, b"".join(b"%s : %d\n" % (words(h).hex().encode(), size) for h, size in group)), sum(size for _, size in group)))
        at += len(group)
    return above


def _root(chunks):
    nodes = [(blake3(DATA, c), len(c)) for c in chunks]
    while len(nodes) > 1:
        nodes = _level(nodes)
    return nodes[0][0]


class Xorb:
    def __init__(self, *chunks):
        assert 1 <= len(chunks) <= 3 and all(0 < len(c) <= CHUNK_MAX for c in chunks)
        self.chunks, self.hash = chunks, _root(chunks)
        self.name = words(self.hash).hex()
        self.bytes = b"".join(b"\0" + len(c).to_bytes(3, "little") + b"\0" + len(c).to_bytes(3, "little") + c for c in chunks)


def shard(*files):
    """Of files, each a list of (xorb, from, to); all of it is told with its SHA-256."""
    out, numbers = TAG + struct.pack("<4I", 2, 0, 0, 0), lambda *n: struct.pack("<4I", *n)
    for terms in files:
        chunks = [c for xorb, start, end in terms for c in xorb.chunks[start:end]]
        out += (blake3(bytes(32), _root(chunks)) if chunks else bytes(32)) + numbers(3 << 30, len(terms), 0, 0)
        for xorb, start, end in terms:
            out += xorb.hash + numbers(0, sum(map(len, xorb.chunks[start:end])), start, end)
        for xorb, start, end in terms:
            out += blake3(RANGE, b"".join(blake3(DATA, c) for c in xorb.chunks[start:end])) + numbers(0, 0, 0, 0)
        out += words(hashlib.sha256(b"".join(chunks)).digest()) + numbers(0, 0, 0, 0)
    return out + 2 * (b"\xff" * 32 + numbers(0, 0, 0, 0))


class Store:
    """The store of a hub, as one user has it for one repository."""

    def __init__(self, hubd, repo, token):
        got = hubd.ask(f"{repo.api}/xet-write-token/main", token=token)
        assert got.status == 200, got
        self.hubd, self.repo, self.token, self.base = hubd, repo, got.json["accessToken"], got.json["casUrl"][len(hubd.url):]

    def send(self, xorb):
        return self.hubd.ask(f"{self.base}/v1/xorbs/default/{xorb.name}", "POST", xorb.bytes, self.token)

    def seek(self, chunk, prefix="default"):
        name = words(blake3(DATA, chunk)).hex()
        return self.hubd.ask(f"{self.base}/v1/chunks/{prefix}/{name}", token=self.token)

    def tell(self, *files):
        return self.hubd.ask(f"{self.base}/v1/shards", "POST", shard(*files), self.token)

    def keep(self, *files):
        """Tells of them, and commits them."""
        got = self.tell(*files)
        data = [b"".join(c for xorb, start, end in terms for c in xorb.chunks[start:end]) for terms in files]
        self.repo.done(*(lfs(f"{hashlib.sha256(d).hexdigest()[:8]}.bin", d) for d in data))
        return got


def whole(*xorbs):
    """A file of all that they have."""
    return [(x, 0, len(x.chunks)) for x in xorbs]


def made_of(*xorbs):
    """A file of a MiB and some more of chunks that come again and again."""
    return whole(*xorbs) * (RECIPE // sum(len(c) for x in xorbs for c in x.chunks) + 1)


def bytes_of(file):
    return b"".join(c for x, start, end in file for c in x.chunks[start:end])
