/** Types of fstab and rootfstype= that one driver mounts. */
const families: readonly (readonly string[])[] = [
  ['ext2', 'ext3', 'ext4'],
  ['vfat', 'msdos', 'fat'],
  ['ntfs', 'ntfs3', 'ntfs-3g'],
  ['xfs'],
  ['btrfs'],
  ['exfat'],
  ['f2fs'],
  ['squashfs'],
  ['erofs'],
  ['iso9660'],
  ['udf'],
  ['hfsplus'],
  ['swap', 'swsuspend'],
]

const familyOf = (type: string): readonly string[] | undefined => families.find((family) => family.includes(type))

/** Whether a filesystem can be mounted as a type; what is not known can. @param type of the filesystem. */
export function isMountedAs(asked: string, type: string): boolean {
  const family = familyOf(asked)
  return family === undefined || family.includes(type)
}
