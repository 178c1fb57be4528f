"""A disk with faults: a FUSE file over a medium (a plain file), with a loop device over it.

python3 faulty-disk.py MEDIUM FAULTS MOUNTPOINT SECTORSIZE

MOUNTPOINT is an existing file. FAULTS is a JSON file, read again whenever it changes:
{"read": [[start, length], ...], "write": [[start, length], ...], "delay": seconds}
A request that touches such a range fails with EIO as a whole, as a disk's does; "delay" holds up every read and write.
Prints the loop device's path when it is ready. Ends, and takes everything away, when its standard input is closed.
Nothing but Python and a kernel with FUSE is needed; run as root.
"""
import errno, json, os, struct, subprocess, sys, threading, time

medium_path, faults_path, point, sector_size = sys.argv[1:5]
medium = os.open(medium_path, os.O_RDWR)
size = os.fstat(medium).st_size
fuse = os.open('/dev/fuse', os.O_RDWR)

faults, faults_seen = {}, None


def current():
    global faults, faults_seen
    status = os.stat(faults_path)
    seen = (status.st_mtime_ns, status.st_ino)
    if seen != faults_seen:
        with open(faults_path) as file:
            faults = json.load(file)
        faults_seen = seen
    return faults


def bad(kind, start, length):
    return any(first < start + length and start < first + count for first, count in current().get(kind, []))


def attributes():
    return struct.pack('<QQQQQQIIIIIIIIII', 1, size, size // 512, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)


def answer(opcode, body):
    if opcode == 26:  # INIT: asynchronous reads, big writes, direct I/O in parallel, requests of 1 MiB
        flags = 1 | 1 << 5 | 1 << 15 | 1 << 22
        return struct.pack('<IIIIHHIIHHI28x', 7, 31, 1 << 17, flags, 16, 12, 1 << 20, 1, 256, 0, 0)
    if opcode in (3, 4):  # GETATTR, SETATTR
        return struct.pack('<QII', 3600, 0, 0) + attributes()
    if opcode == 14:  # OPEN
        return struct.pack('<QII', 0, 0, 0)
    if opcode == 15:  # READ
        start, length = struct.unpack_from('<QI', body, 8)
        time.sleep(current().get('delay', 0))
        length = max(0, min(length, size - start))
        if bad('read', start, length):
            raise OSError(errno.EIO, 'bad sector')
        return os.pread(medium, length, start)
    if opcode == 16:  # WRITE
        start, length = struct.unpack_from('<QI', body, 8)
        time.sleep(current().get('delay', 0))
        if bad('write', start, length):
            raise OSError(errno.EIO, 'bad sector')
        return struct.pack('<II', os.pwrite(medium, body[40:40 + length], start), 0)
    if opcode == 17:  # STATFS
        return struct.pack('<QQQQQIIII24x', 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
    if opcode in (18, 20, 25, 34):  # RELEASE, FSYNC, FLUSH, ACCESS
        return b''
    raise OSError(errno.EOPNOTSUPP if opcode == 43 else errno.ENOSYS, 'not known')


def serve():
    while True:
        try:
            request = os.read(fuse, (1 << 20) + 65536)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                continue
            return  # ENODEV: unmounted
        length, opcode, unique = struct.unpack_from('<IIQ', request)
        if opcode in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET: no answer
            continue
        try:
            reply, code = answer(opcode, request[40:length]), 0
        except OSError as error:
            reply, code = b'', -error.errno
        try:
            os.write(fuse, struct.pack('<IiQ', 16 + len(reply), code, unique) + reply)
        except OSError as error:
            if error.errno != errno.ENOENT:  # the asker has gone
                return


options = f'fd={fuse},rootmode=100000,user_id=0,group_id=0,max_read=1048576,allow_other'
mount = ['mount', '-i', '-t', 'fuse.faulty-disk', '-o', options, 'faulty-disk', point]
subprocess.run(mount, check=True, pass_fds=[fuse])
threading.Thread(target=serve, daemon=True).start()
loop = None
try:
    attach = ['losetup', '--find', '--show', '--direct-io=on', '--sector-size', sector_size, point]
    loop = subprocess.run(attach, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(loop, flush=True)
    sys.stdin.read()
finally:
    if loop is not None:
        subprocess.run(['losetup', '--detach', loop])
    for _ in range(50):
        if subprocess.run(['umount', point], stderr=subprocess.DEVNULL).returncode == 0:
            break
        time.sleep(0.05)
    else:
        subprocess.run(['umount', '--lazy', point])
    os._exit(0)
