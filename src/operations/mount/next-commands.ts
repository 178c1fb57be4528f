import type { ShownContent } from './session.js'
import { shellWord } from '../../sys/shell-word.js'

/**
 * What to type next for a block device that holds no filesystem but further devices (LVM, LUKS, RAID …), and how to
 * take it back. They are
 * never opened by themselves: their names may clash with those of the machine's own.
 */
export function nextCommands(
  device: string,
  content: ShownContent | undefined,
  image: string,
  readOnly: boolean,
): readonly string[] {
  const end = `vdisk unmount ${shellWord(image)}`
  switch (content?.type) {
    case 'crypto_LUKS':
      return [
        `cryptsetup open${readOnly ? ' --readonly' : ''} ${device} NAME`,
        'mount /dev/mapper/NAME DIR',
        `umount DIR; cryptsetup close NAME; ${end}`,
      ]
    case 'BitLocker':
      return [
        `cryptsetup bitlkOpen${readOnly ? ' --readonly' : ''} ${device} NAME`,
        'mount /dev/mapper/NAME DIR',
        `umount DIR; cryptsetup close NAME; ${end}`,
      ]
    case 'LVM2_member':
      return [
        `pvs ${device}`,
        'vgchange -ay GROUP',
        `mount${readOnly ? ' -o ro' : ''} /dev/GROUP/VOLUME DIR`,
        `umount DIR; vgchange -an GROUP; ${end}`,
      ]
    case 'linux_raid_member':
      return [
        `mdadm --assemble --run${readOnly ? ' --readonly' : ''} /dev/md/NAME ${device}`,
        `mount${readOnly ? ' -o ro' : ''} /dev/md/NAME DIR`,
        `umount DIR; mdadm --stop /dev/md/NAME; ${end}`,
      ]
    case 'zfs_member':
      return [`zpool import -d ${device}${readOnly ? ' -o readonly=on' : ''} -R DIR POOL`, `zpool export POOL; ${end}`]
    default:
      return [end]
  }
}
