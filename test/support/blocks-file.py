# The file of block digests, by docs/incremental.md and docs/tree-hash.md alone; GMAC is openssl's.
#   blocks-file.py verify BLOCKS DISK FILE...         prints what is in BLOCKS, when all of it is right
#   blocks-file.py make BLOCKS DISK LENGTH FILE...    writes one, of blocks of LENGTH bytes
# DISK: the bytes of the disk. FILE: the image, its parent, the parent's parent...
import hashlib, os, struct, subprocess, sys, tempfile

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff

def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b'\x01' + tree(leaves[:half]) + tree(leaves[half:])).digest()

def tree1(data):
    return tree([hashlib.sha256(b'\x00' + data[at:at + 65536]).digest() for at in range(0, len(data), 65536)])

def gmac(key, offset, data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        iv = struct.pack('<QI', offset, 0)
        words = ['openssl', 'mac', '-cipher', 'AES-128-GCM', '-macopt', 'hexkey:' + key.hex(),
                 '-macopt', 'hexiv:' + iv.hex(), '-in', file.name, 'GMAC']
        return bytes.fromhex(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())

def stamp(files):
    lines = [f'{stat.st_size} {stat.st_mtime_ns}\n' for stat in map(os.stat, files)]
    return hashlib.sha256(''.join(lines).encode()).digest()

def whole(disk, length, key, files):
    parts = [disk[at:at + length] for at in range(0, len(disk), length)]
    digests = [tree1(part) if any(part) else bytes(32) for part in parts]
    tags = [gmac(key, index * length, part) if any(part) else bytes(16) for index, part in enumerate(parts)]
    head = struct.pack('<8sIIQQ32s32s', b'vdiskblk', 2, length, len(disk), len(parts), tree1(disk), stamp(files))
    head += bytes(32)
    checksum = crc32c(head + bytes(8))
    return (head + struct.pack('<II', checksum, 0) + key).ljust(4096, b'\0') + b''.join(digests) + b''.join(tags)

verb, path, disk, *rest = sys.argv[1:]
disk = open(disk, 'rb').read()
if verb == 'make':
    made = whole(disk, int(rest[0]), os.urandom(16), rest[1:])
    open(path, 'wb').write(made)
else:
    found = open(path, 'rb').read()
    length = struct.unpack_from('<I', found, 12)[0]
    expected = whole(disk, length, found[136:152], rest)
    for at in range(0, max(len(found), len(expected)), 16):
        if found[at:at + 16] != expected[at:at + 16]:
            sys.exit(f'{path}: not what it should be from byte {at} on')
    print(length, found[136:152].hex())
