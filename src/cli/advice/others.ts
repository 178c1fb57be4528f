import type { CodesOf } from '../../errors.js'
import type { Advice } from './advice.js'

const parentFile = 'vdisk chain show lists what the image needs; --search and --parent-map say where that is now.'

export const referenceAdvice: Readonly<Record<CodesOf<'reference'>, Advice>> = {
  E_BACKING_UNSUPPORTED: [
    'An image must not choose which servers or devices are opened.',
    'Fetch it to a file, and relink.',
  ],
  E_CHAIN_TOO_LONG: ['Chains of that length are not met outside of attacks.', 'Flatten the chain where it was made.'],
  E_DESCRIPTOR_MISSING: ['The file is one part of a disk; another file lists the parts.', 'Open that file.'],
  E_MISSING_MEMBER: ['A part of the volume is on another disk.', 'Attach all disks, and read it from the system.'],
  E_NO_MAP: ['Without the map it is not known what is still to be read.', 'Image the disk anew.'],
  E_NO_RECORD: ['Without the record it is not known which disk the image is of.', 'Make a whole image.'],
  E_PARENT_AMBIGUOUS: ['Several files could be the parent, and the wrong one gives wrong content.', parentFile],
  E_PARENT_CAPACITY: [
    'A child of such a format has as many bytes as its parent; one of the two is another disk.',
    'Unpack the archive, and see which disks belong together: vdisk info.',
  ],
  E_PARENT_FORMAT_UNKNOWN: ['The guest of a raw parent could make it look like anything.', 'Say --parent-format.'],
  E_PARENT_ID: ['It is not the image that the child was made of, or was changed since.', parentFile],
  E_PARENT_LOOP: ['An image cannot be its own parent.', parentFile],
  E_PARENT_MISSING: ['What the image does not hold itself is in its parent, and never read as zeros.', parentFile],
  E_PARENT_NEEDED: ['The change needs bytes that only the parent has.', parentFile],
  E_PARENT_SECTOR: ['Parent and child count in different sectors.', parentFile],
  E_PARENT_UNNAMED: [
    'The description and the disk disagree, and zeros in place of the content below would be wrong.',
    'Unpack the archive, and convert the disk by itself if it is whole.',
  ],
  E_PART_MISSING: ['The disk lies in several files, and one is not there.', 'Put all of them into one folder.'],
  E_PART_ORDER: [
    'The file is a later part of a set, or the files are not in the order that their names say.',
    'Open the first part. Give each file its own name.',
  ],
  E_PART_OTHER_SET: ['The files belong to different sets.', 'Put the file of this set in its place.'],
  E_REFERENCE_CHANGED: ['Another program exchanged the file meanwhile.', 'Stop it, and try again.'],
  E_REFERENCE_LOOP: ['A file cannot be a part of itself.', 'The image is damaged, or made to deceive: do not use it.'],
  E_REFERENCE_MISSING: ['A part of the disk is in a file that is not there.', 'Put it beside the image.'],
  E_REFERENCE_NAME: ['What the image records as a name cannot be one.', 'The image is damaged, or made to deceive.'],
  E_REFERENCE_NOT_ALLOWED: [
    'An image must not choose which files of this computer are read.',
    'Name what may be read: --allow-reference.',
  ],
  E_REFERENCE_NOT_OPENED: ['The content is in another file, which this command did not open.', 'Convert the image.'],
  E_REFERENCE_NOT_RECORDED: [
    'The content is in another file, whose name is not recorded.',
    'Ask the program that made it.',
  ],
  E_REFERENCE_UNREADABLE: ['A file that the image needs cannot be read.', 'Check its permissions.'],
}

export const targetAdvice: Readonly<Record<CodesOf<'target'>, Advice>> = {
  E_BUSY: ['What uses it would lose it.', 'End that first.'],
  E_EXISTS: ['A file is never overwritten unless that is asked for.', 'Choose another name, or use --force.'],
  E_FILE_TOO_BIG: [
    'The filesystem or a limit of the user does not allow files of that size.',
    'Choose another filesystem.',
  ],
  E_IS_FOLDER: ['An image is a file.', 'Name the file that is to be made.'],
  E_LEFT_OVER: ['The system did not let it be removed.', 'Remove it by hand: it is no image.'],
  E_LISTEN: ['The address is taken, is too long, or is not this machine’s.', 'Choose another one.'],
  E_LOOP: ['The system did not attach a loop device.', 'Free one: losetup --list shows them.'],
  E_MOUNT: ['The system did not mount it.', 'Read files with vdisk ls and vdisk cp instead.'],
  E_NOT_SUPPORTED: ['The server or device does not do that.', 'Write to a file instead.'],
  E_NOT_WRITTEN: ['The mount ended before all changes were in the image.', 'vdisk check shows its state.'],
  E_NO_FOLDER: ['Folders are not made unasked: the name may be misspelt.', 'Make the folder first.'],
  E_NO_SPACE: [
    'The filesystem or the quota is full; nothing half is left under the name of the target.',
    'Free space.',
  ],
  E_PIPE: ['The program that read the image ended before its end.', 'Look at what it said.'],
  E_REFCOUNT_WIDTH: [
    'The counters of use are too narrow for one more snapshot.',
    'Delete a snapshot, or convert the image.',
  ],
  E_RUNTIME_FOLDER: ['What is mounted is noted in that folder.', 'Set VDISK_RUNTIME_DIR to a folder of yours.'],
  E_SERVER: ['The process that serves the image could not go on.', 'Run it with --debug, and look at the system log.'],
  E_TARGET_LOST: [
    'The other computer, its program or the network failed while the target was written.',
    'Look at the network and at the log of the server, and run the command again.',
  ],
  E_TARGET_SIZE: ['The format has a fixed size, and the target another.', 'Write to a file.'],
  E_TOO_SMALL: ['The image does not fit.', 'Make the target larger.'],
  E_UNMOUNT: ['Something still uses it.', 'Close that (fuser -m shows it), and try again.'],
  E_UNSAFE_NAME: ['The name would lead out of the folder that is written to.', 'Copy the files one by one.'],
  E_WRITE: [
    'The system or the medium did not take the bytes; the message says the state.',
    'Check the medium, and try again.',
  ],
  E_WRITE_PERMISSION: ['The system does not let this user write there.', 'Choose another folder, or another user.'],
}

export const mismatchAdvice: Readonly<Record<CodesOf<'mismatch'>, Advice>> = {
  E_MISMATCH: ['What was read back is not what was written.', 'Do not use the result. Check memory, cable and medium.'],
  E_VERIFY: ['What was written cannot be read back.', 'Do not use the result. Check memory, cable and medium.'],
}

export const internalAdvice: Readonly<Record<CodesOf<'internal'>, Advice>> = {
  E_INTERNAL: ['The program met a state that it should never be in.', 'Please report it, with what --debug shows.'],
  E_PROBE: [
    'A format, perhaps that of a plug-in, broke off while it looked at the file.',
    'Say the format with --from.',
  ],
}

export const abortedAdvice: Readonly<Record<CodesOf<'aborted'>, Advice>> = {
  E_ABORTED: ['It was stopped by a signal or by the person at the keyboard.', 'Run it again.'],
}
