import type { CodesOf } from '../../errors.js'
import type { Advice } from './advice.js'

const convert = 'Open it with the program that made it, and convert or export it to another format there.'
const plugin = 'Update the plug-in, or remove it: vdisk plugins uninstall NAME.'
const files = 'Start the system that it belongs to, or mount it there.'

export const unsupportedAdvice: Readonly<Record<CodesOf<'unsupported'>, Advice>> = {
  E_AMBIGUOUS_FORMAT: [
    'The file looks like several formats, and a guess could read it wrongly.',
    'Say which with --from.',
  ],
  E_BMAP_ALGORITHM: ['The checksums of the block map are of a kind that is not known.', 'Use --no-bmap.'],
  E_CODEC: [
    'The compression is not known here, or a package for it is not installed.',
    'vdisk formats --verbose lists them.',
  ],
  E_COMPACT_CHILD: [
    'Zeros of a child hide what its parent holds.',
    'Make one image of the chain: vdisk chain flatten.',
  ],
  E_DRAFT_TOO_LARGE: [
    'The changes are kept in memory until all is known, and there are too many.',
    'Use --output FILE.',
  ],
  E_ENCRYPTED: ['The content cannot be read without its key, which vdisk does not take.', convert],
  E_FILE_FIXED: ['The content of this file is stored in a way that is not changed in place.', files],
  E_FREEZE: ['Not every filesystem and system can be frozen.', 'Leave --freeze out.'],
  E_FS_AMBIGUOUS: ['Remains of several filesystems are there, and a guess could read the wrong one.', files],
  E_FS_DEVICE: ['Devices, pipes and sockets have no content that could be copied.', 'Leave it out.'],
  E_FS_FEATURE: ['The filesystem uses a feature that vdisk does not read.', files],
  E_FS_LIMIT: ['The filesystem is larger or more fragmented than vdisk reads.', files],
  E_FS_LINK: ['The link leads to another volume.', 'Name the file itself.'],
  E_FS_NOT_READABLE: ['The filesystem is recognised, and its files cannot be read.', files],
  E_HEADER_FULL: ['The header of the image has no room for it.', 'Convert the image: the new one has room.'],
  E_HIVE_FEATURE: ['The registry uses a feature that vdisk does not read.', 'Look at it with tools of Windows.'],
  E_HTTP_ENCODING: ['The server sends other bytes than those of the file.', 'Download the file, and use the copy.'],
  E_LOG_TOO_LARGE: ['Changes in a log of this size are not replayed.', convert],
  E_LOG_VERSION: ['The log holds changes that are not in the file, in a form that is not known.', convert],
  E_NBD_OLD: ['The server speaks a form of the protocol without today’s guarantees.', 'Use a newer server.'],
  E_NBD_TLS: [
    'The server does not offer what was asked for, and nothing is sent in the clear.',
    'Check its certificates.',
  ],
  E_NEEDS_ROOT: ['Only root may attach a block device.', 'Run it as root.'],
  E_NOT_A_DISK_IMAGE: ['It holds something else than a disk, or only a piece of one.', 'Name a disk image.'],
  E_NOT_GROWABLE: ['The repair needs room behind the end of the file.', 'Repair a copy: --output FILE.'],
  E_NOT_WRITABLE: ['Images of this format or kind are not changed in place.', 'Convert it first, and change the copy.'],
  E_NO_FILESYSTEM: ['No filesystem that vdisk knows begins there.', 'vdisk inspect shows what is on the disk.'],
  E_NO_FS_DRIVER: [
    'No program on this system mounts this filesystem.',
    'Install one, or read files with vdisk ls and cp.',
  ],
  E_NO_FUSE: ['Mounting needs Linux with /dev/fuse, and the right to use it.', 'Read files with vdisk ls and cp.'],
  E_NO_LOOP: ['Mounting needs loop devices, and losetup.', 'Install the package mount (or util-linux).'],
  E_NO_RELINK: ['The place of the parent is not changed in images of this kind.', 'Use --parent-map or --search.'],
  E_NO_REPAIR: ['There is no repair for images of this kind.', 'Convert what can be read of it to a new image.'],
  E_NO_RESIZE: ['Images of this kind keep their size.', 'Convert it, and resize the new image.'],
  E_NO_SNAPSHOTS: ['The format keeps no snapshots inside an image.', 'Use qcow2, or children: vdisk create --parent.'],
  E_NO_SOURCE_SNAPSHOT: [
    'Only volumes of LVM, ZFS and Windows have snapshots, and they need free space and the right to make them.',
    'Leave --snapshot out, or free space for it.',
  ],
  E_PARENT_LOCATOR_TYPE: ['What leads to the parent is of a kind that is not known.', convert],
  E_PLATFORM: ['vdisk does not know which disks this system has, or what uses them.', 'Images work on every system.'],
  E_PLUGIN_API_VERSION: ['The plug-in was made for another version of vdisk.', plugin],
  E_PLUGIN_CODEC: ['The plug-in adds a codec that cannot be used.', plugin],
  E_PLUGIN_DRIVER: ['The plug-in adds something that does not fulfil the contract.', plugin],
  E_PLUGIN_FAILED: ['The plug-in broke off while it was loaded.', plugin],
  E_PLUGIN_ID_TAKEN: ['Two formats of one name could not be distinguished.', plugin],
  E_REFCOUNT_LIMIT: ['The counters of use cannot reach that far.', 'Convert it, with larger clusters.'],
  E_SPLIT_VHD: ['The parts of a split VHD are not put together by vdisk.', 'Join them in order into one file.'],
  E_TOOL: ['A program of the system failed or is missing.', 'Run it by hand to see what it says.'],
  E_TOO_DEEP: ['Files in files in files are not met outside of attacks.', 'Unpack the outer ones.'],
  E_TYPE: ['The image is of a kind within its format that vdisk does not read.', convert],
  E_UNSUPPORTED_FEATURE: ['Without this feature the content would be read wrongly.', convert],
  E_UNSUPPORTED_FORMAT: ['vdisk recognises the format and has no reader for it.', convert],
  E_UNSUPPORTED_VERSION: ['This version of the format is not known.', convert],
  E_VERSION: ['This version of the format is not known.', convert],
}
